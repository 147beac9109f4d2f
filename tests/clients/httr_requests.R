# Sends with httr and jsonlite the requests that R scripts send to a Socrata portal: paged reads as JSON and CSV, data
# frames as upsert and replace, the inventory. Arguments: what to do, the address, and for writes name and password.
# Prints one JSON object.
suppressPackageStartupMessages({library(httr); library(jsonlite)})
given <- commandArgs(trailingOnly = TRUE)
agent <- user_agent("R script")
signed <- if (length(given) > 2) authenticate(given[3], given[4]) else config()

page <- function(url) {
  answer <- GET(url, agent, signed)
  stop_for_status(answer)
  text <- content(answer, as = "text", encoding = "UTF-8")
  kind <- http_type(answer)
  rows <- if (kind == "text/csv") read.csv(text = text, stringsAsFactors = FALSE)
          else fromJSON(text, flatten = TRUE)
  list(rows = rows, count = if (is.data.frame(rows)) nrow(rows) else 0, headers = headers(answer))
}

read_all <- function(url) {
  glue <- if (grepl("?", url, fixed = TRUE)) "&" else "?"
  url <- paste0(url, glue, "$order=:id")
  first <- page(url)
  pages <- list(first$rows)
  total <- first$count
  last <- first$count
  requests <- 1
  while (last > 0) {
    more <- page(paste0(url, "&$limit=50000&$offset=", format(total, scientific = FALSE)))
    requests <- requests + 1
    last <- more$count
    total <- total + last
    if (last > 0) pages[[length(pages) + 1]] <- more$rows
  }
  columns <- unique(unlist(lapply(pages, names)))
  list(rows = total, requests = requests, columns = columns,
       classes = vapply(pages[[1]], function(one) class(one)[1], ""),
       fields = fromJSON(first$headers[["x-soda2-fields"]]), types = fromJSON(first$headers[["x-soda2-types"]]),
       first = lapply(pages[[1]], function(one) one[[1]]))
}

sent <- function(verb, url, frame) {
  answer <- verb(url, body = toJSON(frame), signed, agent, add_headers("Content-Type" = "application/json"))
  list(status = status_code(answer), body = content(answer, as = "parsed"))
}

frame <- data.frame(n = c(1, 3000, 3001), zip = c("06999", "06001", NA), day = as.Date("2024-02-29") + 0:2,
                    place = NA, stringsAsFactors = FALSE)
frame$place <- NULL
result <- switch(given[1],
  read = tryCatch(read_all(given[2]), error = function(problem) list(error = conditionMessage(problem))),
  upsert = sent(POST, given[2], frame),
  replace = sent(PUT, given[2], frame),
  list = {
    inventory <- fromJSON(content(GET(given[2], agent), as = "text", encoding = "UTF-8"))
    list(names = names(inventory), columns = names(inventory$dataset), kind = class(inventory$dataset))
  })
cat(toJSON(result, auto_unbox = TRUE, digits = NA, null = "null"))
