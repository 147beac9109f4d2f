# Deaths by year, town and principal substance. Run by hand, it reads from and writes to the portal;
# run by ctnb, both calls are answered by ctnb and nothing is sent. Base R only.

library(RSocrata)

deaths <- read.socrata(
  "https://data.ct.gov/resource/rybz-nyjw.json",
  app_token = Sys.getenv("SOCRATA_APP_TOKEN")
)

# ---- town: the 169 towns; villages count for their town ---------------------------------------------------

towns <- c(
  "Andover", "Ansonia", "Ashford", "Avon", "Barkhamsted", "Beacon Falls", "Berlin", "Bethany", "Bethel",
  "Bethlehem", "Bloomfield", "Bolton", "Bozrah", "Branford", "Bridgeport", "Bridgewater", "Bristol",
  "Brookfield", "Brooklyn", "Burlington", "Canaan", "Canterbury", "Canton", "Chaplin", "Cheshire", "Chester",
  "Clinton", "Colchester", "Colebrook", "Columbia", "Cornwall", "Coventry", "Cromwell", "Danbury", "Darien",
  "Deep River", "Derby", "Durham", "East Granby", "East Haddam", "East Hampton", "East Hartford", "East Haven",
  "East Lyme", "East Windsor", "Eastford", "Easton", "Ellington", "Enfield", "Essex", "Fairfield", "Farmington",
  "Franklin", "Glastonbury", "Goshen", "Granby", "Greenwich", "Griswold", "Groton", "Guilford", "Haddam",
  "Hamden", "Hampton", "Hartford", "Hartland", "Harwinton", "Hebron", "Kent", "Killingly", "Killingworth",
  "Lebanon", "Ledyard", "Lisbon", "Litchfield", "Lyme", "Madison", "Manchester", "Mansfield", "Marlborough",
  "Meriden", "Middlebury", "Middlefield", "Middletown", "Milford", "Monroe", "Montville", "Morris", "Naugatuck",
  "New Britain", "New Canaan", "New Fairfield", "New Hartford", "New Haven", "New London", "New Milford",
  "Newington", "Newtown", "Norfolk", "North Branford", "North Canaan", "North Haven", "North Stonington",
  "Norwalk", "Norwich", "Old Lyme", "Old Saybrook", "Orange", "Oxford", "Plainfield", "Plainville", "Plymouth",
  "Pomfret", "Portland", "Preston", "Prospect", "Putnam", "Redding", "Ridgefield", "Rocky Hill", "Roxbury",
  "Salem", "Salisbury", "Scotland", "Seymour", "Sharon", "Shelton", "Sherman", "Simsbury", "Somers",
  "South Windsor", "Southbury", "Southington", "Sprague", "Stafford", "Stamford", "Sterling", "Stonington",
  "Stratford", "Suffield", "Thomaston", "Thompson", "Tolland", "Torrington", "Trumbull", "Union", "Vernon",
  "Voluntown", "Wallingford", "Warren", "Washington", "Waterbury", "Waterford", "Watertown", "West Hartford",
  "West Haven", "Westbrook", "Weston", "Westport", "Wethersfield", "Willington", "Wilton", "Winchester",
  "Windham", "Windsor", "Windsor Locks", "Wolcott", "Woodbridge", "Woodbury", "Woodstock"
)

villages <- c(
  "WILLIMANTIC" = "Windham", "NORTH WINDHAM" = "Windham", "UNCASVILLE" = "Montville", "OAKDALE" = "Montville",
  "JEWETT CITY" = "Griswold", "TERRYVILLE" = "Plymouth", "WINSTED" = "Winchester", "MOOSUP" = "Plainfield",
  "CENTRAL VILLAGE" = "Plainfield", "NIANTIC" = "East Lyme", "DANIELSON" = "Killingly",
  "DAYVILLE" = "Killingly", "STAFFORD SPRINGS" = "Stafford", "OAKVILLE" = "Watertown",
  "PAWCATUCK" = "Stonington", "PLANTSVILLE" = "Southington", "TAFTVILLE" = "Norwich",
  "SANDY HOOK" = "Newtown", "NORTHFORD" = "North Branford", "GALES FERRY" = "Ledyard",
  "MASHANTUCKET" = "Ledyard", "BROAD BROOK" = "East Windsor", "UNIONVILLE" = "Farmington",
  "QUAKER HILL" = "Waterford", "WEST SUFFIELD" = "Suffield", "ROCKVILLE" = "Vernon", "BALTIC" = "Sprague"
)

place <- toupper(trimws(deaths$injury_city))
place <- trimws(sub("(,| CT).*$", "", place))
place[is.na(place)] <- ""
known <- match(place, toupper(towns))
village <- villages[place]
town <- ifelse(!is.na(known), towns[known], ifelse(!is.na(village), village, "Elsewhere"))
town[place %in% c("", "UNKNOWN", "UK")] <- "Unknown"

# A town of the same name lies in other states too (Salem, Fairfield).
state <- toupper(trimws(deaths$injury_state))
outside <- !is.na(state) & !state %in% c("CT", "CONNECTICUT", "UNKNOWN", "UK", "")
town[outside] <- "Elsewhere"

# ---- substance: several are found in most people, so the first of this order counts, and each person once --

found <- function(...) {
  flags <- lapply(list(...), function(flag) !is.na(flag) & startsWith(toupper(flag), "Y"))
  Reduce(`|`, flags)
}

substance <- rep("Other or none listed", nrow(deaths))
take <- function(rows, name) {
  substance[rows & substance == "Other or none listed"] <<- name
}
with(deaths, {
  take(found(fentanyl, fentanyl_analogue), "Fentanyl")
  take(found(heroin, heroin_death_certificate, heroin_morph_codeine), "Heroin")
  take(found(oxycodone, oxymorphone, hydrocodone, hydromorphone, methadone, tramad, morphine_not_heroin,
             opiate_nos, other_opioid, any_opioid), "Other opioid")
  take(found(cocaine), "Cocaine")
  take(found(meth_amphetamine, amphet), "Methamphetamine or amphetamine")
  take(found(benzodiazepine), "Benzodiazepine")
  take(found(ethanol), "Alcohol")
})

# ---- count, and write -------------------------------------------------------------------------------------

counts <- aggregate(
  list(deaths = rep(1L, nrow(deaths))),
  by = list(year = as.integer(format(deaths$date, "%Y")), town = town, substance = substance),
  FUN = sum
)
code <- function(text) gsub("[^A-Z]+", "_", toupper(text))
counts$id <- paste(counts$year, code(counts$town), code(counts$substance), sep = "-")
counts <- counts[order(counts$year, counts$town, counts$substance), ]

response <- write.socrata(
  counts, "https://data.ct.gov/resource/abcd-1234.json", "REPLACE",
  email = Sys.getenv("SOCRATA_EMAIL"), password = Sys.getenv("SOCRATA_PASSWORD"),
  app_token = Sys.getenv("SOCRATA_APP_TOKEN")
)
stopifnot(response$status_code == 200)
