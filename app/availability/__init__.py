"""A doctor's time, cut into slots.

Owns `availability_slots`. Promises: two slots of one doctor never overlap (an exclusion constraint), and a slot is
booked by one statement that locks and checks it at once. A withdrawn slot is hidden, not deleted: consultations that
were cancelled still refer to it.
"""
