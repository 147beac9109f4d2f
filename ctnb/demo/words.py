"""The words that the synthetic file is made of, with how often each is drawn."""

from __future__ import annotations

RACES = (
    ("White", 780), ("Black", 75), ("Black or African American", 60), ("Unknown", 12), ("Other", 12), ("", 14),
    ("Asian, Other", 6), ("Asian Indian", 6), ("Other Asian", 5), ("Asian/Indian", 4), ("Chinese", 3),
    ("American Indian or Alaska Native", 3), ("Hawaiian", 2), ("Korean", 2), ("Native American, Other", 3),
)  # fmt: skip
"""Fourteen spellings, and blank: years of forms, not years of people."""

ETHNICITIES = (
    ("", 850), ("Hispanic", 90), ("Spanish/Hispanic/Latino", 25), ("Other Spanish/Hispanic/Latino", 25),
    ("Not Spanish/Hispanic/Latino", 8), ("Puerto Rican", 5), ("Unknown", 2),
)  # fmt: skip

INJURY_PLACES = (
    ("Residence", 600), ("Home", 95), ("Hotel or Motel", 50), ("Other", 45), ("Unknown", 30), ("", 28),
    ("Automobile", 25), ("In Vehicle", 14), ("Parking Lot", 12), ("Street", 12), ("Friend's Home", 8),
)  # fmt: skip

DESCRIPTIONS = (
    ("Substance Abuse", 300), ("Substance abuse", 115), ("Drug Use", 110), ("", 75), ("Substance use", 65),
    ("Substance Use", 60), ("Used Heroin", 20), ("Ingestion", 15), ("Took medications", 10), ("Drug abuse", 8),
)  # fmt: skip

LOCATIONS = (
    ("Residence", 450), ("Hospital", 220), ("Other", 145), ("Decedent’s Home", 75), ("Other (Specify)", 35),
    ("Hospital - ER/Outpatient", 40), ("Hospital - Inpatient", 24), ("Hospital - Dead On Arrival", 8),
    ("Decedent's Home", 6), ("", 4), ("Nursing Home", 2),
)  # fmt: skip

OTHER_LOCATIONS = (
    ("Friend's Residence", 8),
    ("Hotel", 6),
    ("In Vehicle", 5),
    ("Motel", 4),
    ("Parking lot", 2),
)

MANNERS = (("Accident", 985), ("accident", 6), ("Pending", 5), ("", 4))

CONDITIONS = (
    ("", 900), ("Recent Cocaine Use", 25), ("Hypertensive Cardiovascular Disease", 25),
    ("Obesity", 15), ("Asthma", 12), ("Chronic Ethanol Abuse, Hepatic Steatosis", 12),
    ("Recent cocaine use", 8), ("Diabetes Mellitus", 6),
)  # fmt: skip

OTHER_SUBSTANCES = (("PCP", 6), ("Bupren", 4), ("ketamine", 2), ("Diphenhydramine", 3), ("Quetiapine", 3))

DRUGS = (
    # header, chance in 2012, chance in 2022, spelled in a cause of death
    ("Heroin", 0.45, 0.08, "Heroin"),
    ("Cocaine", 0.24, 0.42, "Cocaine"),
    ("Fentanyl", 0.05, 0.85, "Fentanyl"),
    ("Fentanyl Analogue", 0.00, 0.12, "Acetyl Fentanyl"),
    ("Oxycodone", 0.16, 0.04, "Oxycodone"),
    ("Oxymorphone", 0.03, 0.01, "Oxymorphone"),
    ("Ethanol", 0.27, 0.28, "Ethanol"),
    ("Hydrocodone", 0.04, 0.01, "Hydrocodone"),
    ("Benzodiazepine", 0.33, 0.18, "Alprazolam"),
    ("Methadone", 0.13, 0.08, "Methadone"),
    ("Meth/Amphetamine", 0.01, 0.03, "Methamphetamine"),
    ("Amphet", 0.01, 0.05, "Amphetamine"),
    ("Tramad", 0.02, 0.03, "Tramadol"),
    ("Hydromorphone", 0.01, 0.01, "Hydromorphone"),
    ("Xylazine", 0.00, 0.24, "Xylazine"),
    ("Gabapentin", 0.01, 0.06, "Gabapentin"),
)
"""Substances whose share moves in a straight line over the years."""

ODD_FLAGS = {
    "Fentanyl": ("Y (PTCH)", "Y POPS"), "Ethanol": ("P",), "Gabapentin": ("y",),
}  # fmt: skip
"""What a column of Y and blanks holds once in a while."""
