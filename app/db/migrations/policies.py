"""The words of which policies are made (docs/decisions/0015). Released steps read them: never change one.

Sub-selects are asked once for a statement, and not for each row.
"""

CLINIC = "(SELECT nullif(current_setting('telemed.clinic', true), '')::integer)"
ROLE = "(SELECT current_setting('telemed.role', true))"
ACTORS = "(SELECT nullif(current_setting('telemed.actors', true), '')::uuid[])::uuid[]"
IS_SYSTEM = f"{ROLE} = 'system'"
# Statements that name the clinic by its slug, before anybody has said who they are.
IS_STRANGER = f"{ROLE} = 'stranger'"
IN_CLINIC = f"clinic_id = {CLINIC}"
