"""Connecticut towns that the synthetic people live in: facts of geography, approximate town centres."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Place:
    """A town."""

    name: str
    """Its name, as a form writes it."""
    county: str
    """The county it lies in."""
    latitude: float
    """Degrees north of its centre, approximately."""
    longitude: float
    """Degrees east of its centre, approximately; negative in Connecticut."""
    weight: int
    """How often it is drawn."""


PLACES = tuple(
    Place(name, county, latitude, longitude, weight)
    for name, county, latitude, longitude, weight in (
        ("Hartford", "Hartford", 41.764, -72.685, 130),
        ("New Haven", "New Haven", 41.308, -72.928, 105),
        ("Bridgeport", "Fairfield", 41.187, -73.195, 95),
        ("Waterbury", "New Haven", 41.558, -73.052, 90),
        ("New Britain", "Hartford", 41.661, -72.780, 55),
        ("Bristol", "Hartford", 41.672, -72.949, 42),
        ("Meriden", "New Haven", 41.538, -72.807, 36),
        ("Norwich", "New London", 41.524, -72.076, 36),
        ("Torrington", "Litchfield", 41.801, -73.121, 32),
        ("New London", "New London", 41.356, -72.100, 30),
        ("Manchester", "Hartford", 41.776, -72.522, 30),
        ("East Hartford", "Hartford", 41.782, -72.612, 30),
        ("Danbury", "Fairfield", 41.395, -73.454, 28),
        ("Stamford", "Fairfield", 41.053, -73.539, 26),
        ("West Haven", "New Haven", 41.271, -72.947, 26),
        ("Norwalk", "Fairfield", 41.118, -73.408, 22),
        ("Milford", "New Haven", 41.222, -73.057, 20),
        ("Middletown", "Middlesex", 41.562, -72.651, 20),
        ("Enfield", "Hartford", 41.976, -72.592, 18),
        ("Groton", "New London", 41.350, -72.078, 16),
        ("Stratford", "Fairfield", 41.185, -73.133, 16),
        ("Hamden", "New Haven", 41.396, -72.897, 16),
        ("Windham", "Windham", 41.700, -72.157, 14),
        ("Naugatuck", "New Haven", 41.486, -73.051, 14),
        ("Southington", "Hartford", 41.596, -72.878, 13),
        ("Vernon", "Tolland", 41.837, -72.460, 13),
        ("Shelton", "Fairfield", 41.316, -73.093, 11),
        ("Killingly", "Windham", 41.831, -71.851, 10),
        ("Plainfield", "Windham", 41.676, -71.915, 10),
        ("Wallingford", "New Haven", 41.457, -72.823, 10),
        ("Winchester", "Litchfield", 41.922, -73.103, 9),
        ("Plymouth", "Litchfield", 41.672, -73.053, 8),
        ("East Haven", "New Haven", 41.276, -72.868, 8),
        ("Branford", "New Haven", 41.280, -72.815, 6),
        ("Old Saybrook", "Middlesex", 41.292, -72.376, 4),
        ("Stonington", "New London", 41.336, -71.906, 4),
        ("Colchester", "New London", 41.576, -72.332, 4),
        ("Watertown", "Litchfield", 41.606, -73.118, 4),
        ("Stafford", "Tolland", 41.985, -72.289, 4),
        ("Putnam", "Windham", 41.915, -71.909, 4),
        ("Clinton", "Middlesex", 41.279, -72.528, 3),
        ("Ridgefield", "Fairfield", 41.281, -73.498, 2),
        ("Canaan", "Litchfield", 41.962, -73.308, 1),
        ("Union", "Tolland", 41.991, -72.157, 1),
    )
)

ELSEWHERE = (
    ("Springfield", "Hampden", "MA"),
    ("Westerly", "Washington", "RI"),
    ("Yonkers", "Westchester", "NY"),
)
"""Places outside Connecticut: town, county, state."""

CENTRE = (41.575, -72.738)
"""The middle of the state, where a geocoder puts a town it does not know."""
