"""How much is measured, and for how long: the whole, and the quick run that only asks whether everything works."""

from dataclasses import dataclass

from app.bench.town import Town


@dataclass(frozen=True, slots=True)
class Scale:
    """Every number that a scenario takes from outside."""

    is_quick: bool = False
    slots: int = 2_000_000
    patients: int = 200_000
    consultations: int = 500_000
    # One closed-loop measurement, and one run of pgbench.
    seconds: float = 5
    # Before a server's first measurement: plans are prepared, caches filled.
    warm_up_s: float = 2
    connections: tuple[int, ...] = (1, 8, 32, 256, 1000)
    clients: tuple[int, ...] = (1, 8, 32)
    open_shares: tuple[float, ...] = (0.25, 0.5, 0.75)
    booking_pairs: int = 5
    search_pairs: int = 3
    pair_s: float = 4
    profile_s: float = 10
    growth_slots: tuple[int, ...] = (10_000, 100_000, 1_000_000, 10_000_000)
    growth_rounds: int = 3
    # The smallest town has 4,800 free slots: all rounds together stay below.
    growth_requests: int = 1_200
    # Searches use nothing up: so many that chance is no plan's merit.
    growth_searches: int = 3_600
    growth_warm_up: int = 400
    hold_connections: int = 1_000
    hold_s: float = 60
    overload_connections: int = 2_000
    overload_rounds: int = 5
    overload_s: float = 8
    recovery_s: float = 8
    day_factors: tuple[int, ...] = (1, 10, 100)
    day_s: float = 300
    crowd_patients: int = 10_000
    crowd_connections: int = 2_000
    crowd_quiet_s: float = 15
    # Until the last of them has an answer; who has none by then left without.
    crowd_s: float = 40
    storm_quiet_s: float = 15
    storm_s: float = 20
    # What a login costs is the point of a storm: the clinic's own default.
    bcrypt_cost: int = 12

    @property
    def town(self) -> Town:
        return Town(slots=self.slots, patients=self.patients, consultations=self.consultations)

    def grown_town(self, slots: int) -> Town:
        """A town of this many slots. Patients and history grow with it up to a point, so that it is loaded in time."""
        return Town(slots, patients=min(200_000, max(1_000, slots // 10)), consultations=min(200_000, slots // 4))


FULL = Scale()
QUICK = Scale(
    is_quick=True,
    slots=300_000,
    patients=30_000,
    consultations=60_000,
    seconds=1,
    warm_up_s=0.5,
    connections=(1, 8, 64),
    clients=(1, 8),
    open_shares=(0.25,),
    booking_pairs=1,
    search_pairs=1,
    pair_s=1,
    profile_s=1,
    growth_slots=(10_000, 40_000),
    growth_rounds=1,
    growth_requests=300,
    growth_searches=300,
    growth_warm_up=50,
    hold_connections=100,
    hold_s=3,
    overload_connections=200,
    overload_rounds=1,
    overload_s=2,
    recovery_s=3,
    day_s=5,
    crowd_patients=400,
    crowd_connections=100,
    crowd_quiet_s=2,
    crowd_s=5,
    storm_quiet_s=2,
    storm_s=3,
    bcrypt_cost=4,
)
