# The R half of the bridge: it plays a transform.R and answers RSocrata's calls. Base R only.
#
# Columns cross as raw vectors of little-endian bytes, whole columns at a time: doubles, integers, and text as
# UTF-8 bytes with a length per cell. The Python half, rbridge.py, says the same in its own words.

state <- new.env()

# ---- from bytes to a data frame, and back ----------------------------------------------------------------

read_numbers <- function(data, what, rows) {
  readBin(data, what, n = rows, size = if (what == "double") 8L else 4L, endian = "little")
}

write_numbers <- function(kind, x) {
  list(kind = kind, data = writeBin(x, raw(), endian = "little"), lengths = raw())
}

read_text <- function(data, lengths, rows) {
  bytes <- read_numbers(lengths, "integer", rows)
  empty <- is.na(bytes)
  bytes[empty] <- 0L
  x <- if (rows) readChar(data, bytes, useBytes = TRUE) else character()
  Encoding(x) <- "UTF-8"
  x[empty] <- NA_character_
  x
}

write_text <- function(x) {
  x <- enc2utf8(as.vector(x))
  empty <- is.na(x)
  x[empty] <- ""
  if (!all(validUTF8(x))) return(unfit("text that is not UTF-8"))
  bytes <- nchar(x, type = "bytes")
  # In pieces, because one string of R holds at most 2^31 - 1 bytes; writeChar to raw miscounts text (R 4.2).
  pieces <- split(x, (seq_along(x) - 1L) %/% 100000L)
  data <- as.raw(unlist(lapply(unname(pieces), function(piece) charToRaw(paste(piece, collapse = "")))))
  bytes[empty] <- NA_integer_
  list(kind = "text", data = data, lengths = writeBin(as.integer(bytes), raw(), endian = "little"))
}

unfit <- function(why) list(kind = "unfit", data = charToRaw(why), lengths = raw())

read_column <- function(column, rows) {
  kind <- column[[1L]]
  data <- column[[2L]]
  switch(kind,
    text = read_text(data, column[[3L]], rows),
    integer = read_numbers(data, "integer", rows),
    logical = as.logical(read_numbers(data, "integer", rows)),
    double = read_numbers(data, "double", rows),
    date = structure(read_numbers(data, "double", rows), class = "Date"),
    timestamp = .POSIXct(read_numbers(data, "double", rows), tz = "UTC")
  )
}

read_frame <- function(names, columns, rows) {
  frame <- lapply(columns, read_column, rows = rows)
  structure(frame, names = names, row.names = .set_row_names(rows), class = "data.frame")
}

# A table has times without a zone: the clock on the wall of the column's own zone is what a reader sees.
wall_clock <- function(x) {
  zone <- attr(x, "tzone")[1L]
  if (is.null(zone) || zone %in% c("", "UTC", "GMT")) return(as.double(x))
  as.double(as.POSIXct(as.POSIXlt(x, tz = zone), tz = "UTC"))
}

write_column <- function(x) {
  if (length(dim(x)) > 1L || is.data.frame(x)) return(unfit("several columns in one"))
  if (is.factor(x)) return(write_text(as.character(x)))
  if (inherits(x, "POSIXlt")) x <- as.POSIXct(x)
  if (inherits(x, "POSIXct")) return(write_numbers("timestamp", wall_clock(x)))
  if (inherits(x, "Date")) return(write_numbers("date", as.double(x)))
  if (inherits(x, "integer64")) return(write_numbers("integer64", as.vector(unclass(x))))
  x <- unclass(x)
  switch(typeof(x),
    character = write_text(x),
    logical = write_numbers("logical", as.integer(x)),
    integer = write_numbers("integer", as.vector(x)),
    double = write_numbers("double", as.vector(x)),
    unfit(paste("values of R's type", typeof(x)))
  )
}

write_frame <- function(frame) {
  rows <- .row_names_info(frame, 2L)
  columns <- unname(lapply(unclass(frame), write_column))
  list(names = write_text(names(frame)), columns = columns, rows = as.integer(rows))
}

# ---- what a script meets instead of quitting, and instead of RSocrata ------------------------------------

# The flag outlives a tryCatch in the script: whoever swallows the condition still does not succeed.
refuse <- function(why) {
  state$refused <- why
  state$refused_line <- failing_line(sys.calls())
  stop(structure(class = c("ctnb_refused", "error", "condition"), list(message = why, call = NULL)))
}

leave <- function(save = "default", status = 0, runLast = TRUE) refuse("quit")

# A query that would give fewer or other rows than the table cannot be answered with the table.
whole_table <- function(url, rows) {
  query <- sub("^[^?]*\\??", "", url)
  parts <- strsplit(utils::URLdecode(query), "&", fixed = TRUE)[[1L]]
  keys <- tolower(sub("=.*", "", parts))
  limits <- suppressWarnings(as.numeric(sub("^[^=]*=", "", parts[keys == "$limit"])))
  all(keys %in% c("$order", "$limit", "$$app_token", "accesstype")) && all(!is.na(limits) & limits >= rows)
}

# Arguments that may hold a credential are never evaluated: R evaluates an argument when it is first used.
read.socrata <- function(url, app_token = NULL, email = NULL, password = NULL, stringsAsFactors = FALSE) {
  url <- as.character(url)[1L]
  if (!is.null(state$url) && !identical(state$url, url)) refuse("second source")
  if (!whole_table(url, nrow(state$frame))) refuse("query")
  state$url <- url
  frame <- state$frame
  for (place in seq_along(frame)) {
    x <- frame[[place]]
    if (inherits(x, "Date")) x <- .POSIXct(as.double(x) * 86400, tz = "UTC")
    if (stringsAsFactors && is.character(x)) x <- factor(x)
    frame[[place]] <- x
  }
  frame
}

write.socrata <- function(dataframe, dataset_json_endpoint, update_mode, email, password, app_token = NULL) {
  if (!is.data.frame(dataframe)) refuse("no data frame")
  if (!update_mode %in% c("UPSERT", "REPLACE")) stop("update_mode must be UPSERT or REPLACE")
  state$modes <- c(state$modes, update_mode)
  state$result <- dataframe
  response <- list(url = dataset_json_endpoint, status_code = 200L, headers = list(), content = raw())
  structure(response, class = "response")
}

# library(), require() and :: find a package that is attached and registered, installed or not.
install <- function() {
  space <- new.env(parent = baseenv())
  space$read.socrata <- read.socrata
  space$write.socrata <- write.socrata
  exports <- list2env(list(read.socrata = "read.socrata", write.socrata = "write.socrata"))
  space[[".__NAMESPACE__."]] <- list2env(list(
    spec = c(name = "RSocrata", version = "1.7.15.1"), exports = exports, imports = list(),
    path = "", dynlibs = NULL, S3methods = matrix(NA_character_, 0L, 4L), lazydata = new.env()
  ))
  if (is_registered()) unloadNamespace("RSocrata")
  .Internal(registerNamespace("RSocrata", space))
  answers <- list(read.socrata = read.socrata, write.socrata = write.socrata)
  attach(answers, name = "package:RSocrata", warn.conflicts = FALSE)
}

is_registered <- function() "RSocrata" %in% loadedNamespaces()

uninstall <- function() {
  while ("package:RSocrata" %in% search()) detach("package:RSocrata", character.only = TRUE)
  if (is_registered()) .Internal(unregisterNamespace("RSocrata"))
}

mask <- function(name, value) {
  base <- baseenv()
  unlockBinding(name, base)
  assign(name, value, envir = base)
  lockBinding(name, base)
}

# ---- playing a script ------------------------------------------------------------------------------------

# The line of the script nearest to the failure: the innermost call that the script's own text made.
failing_line <- function(calls) {
  for (call in rev(calls)) {
    ref <- attr(call, "srcref")
    if (!is.null(ref) && identical(attr(ref, "srcfile"), state$file)) return(ref[1L])
  }
  state$line
}

note_error <- function(condition) {
  state$line <- failing_line(sys.calls())
  state$class <- class(condition)
  state$missing <- if (inherits(condition, "packageNotFoundError")) condition$package else ""
  cat("Error:", conditionMessage(condition), "\n")
}

note_warning <- function(condition) {
  state$warnings <- state$warnings + 1L
  cat("Warning:", conditionMessage(condition), "\n")
  tryInvokeRestart("muffleWarning")
}

parsed <- function(path) {
  lines <- readLines(path, encoding = "UTF-8", warn = FALSE)
  if (length(lines)) lines[1L] <- sub("^\ufeff", "", lines[1L])
  state$file <- srcfilecopy("transform.R", lines)
  tryCatch(
    parse(text = lines, keep.source = TRUE, srcfile = state$file, encoding = "UTF-8"),
    error = function(condition) {
      cat("Error:", conditionMessage(condition), "\n")
      place <- regmatches(conditionMessage(condition), regexpr(":[0-9]+:", conditionMessage(condition)))
      state$line <- if (length(place)) as.integer(gsub(":", "", place)) else 0L
      refuse("syntax")  # its line is state$line: nothing of the script runs yet
    }
  )
}

play_lines <- function(path) {
  expressions <- parsed(path)
  places <- attr(expressions, "srcref")
  for (number in seq_along(expressions)) {
    state$line <- places[[number]][1L]
    eval(expressions[[number]], globalenv())
  }
  if (length(state$modes) == 0L) call_transform()
}

call_transform <- function() {
  transform <- get0("transform", globalenv(), mode = "function", inherits = FALSE)
  if (is.null(transform)) refuse("no result")
  state$result <- transform(state$frame)
}

# What a script may change for the next one in the same process is put back.
guarded <- function(path, folder) {
  old <- list(folder = getwd(), options = options(), zone = Sys.getenv("TZ", NA), quit = quit, q = q)
  on.exit({
    setwd(old$folder)
    options(old$options)
    if (is.na(old$zone)) Sys.unsetenv("TZ") else Sys.setenv(TZ = old$zone)
    mask("quit", old$quit)
    mask("q", old$q)
    uninstall()
    rm(list = ls(globalenv(), all.names = TRUE), envir = globalenv())
  })
  rm(list = ls(globalenv(), all.names = TRUE), envir = globalenv())
  mask("quit", leave)
  mask("q", leave)
  install()
  Sys.setenv(TZ = "UTC")
  options(device = function(...) grDevices::pdf(NULL), warn = 0, keep.source = TRUE)
  set.seed(1L)
  setwd(folder)
  tryCatch(
    withCallingHandlers(play_lines(path), error = note_error, warning = note_warning),
    error = function(condition) state$failed <- TRUE
  )
}

outcome <- function() {
  if (nzchar(state$refused)) return(state$refused)
  if (state$failed) return("error")
  if (length(state$modes) > 1L) return("several results")
  if (!is.data.frame(state$result)) return("no data frame")
  "ok"
}

play <- function(path, folder, names, columns, rows) {
  list2env(list(
    frame = read_frame(names, columns, rows), url = NULL, modes = character(), result = NULL, refused = "",
    refused_line = 0L, failed = FALSE, line = 0L, class = character(), missing = "", warnings = 0L, file = NULL
  ), envir = state)
  guarded(path, folder)
  how <- outcome()
  list(
    outcome = how, line = as.integer(if (nzchar(state$refused)) state$refused_line else state$line), class = as.character(state$class),
    missing = as.character(state$missing), warnings = state$warnings, modes = as.character(state$modes),
    frame = if (how == "ok") write_frame(state$result)
  )
}

# Text outside ASCII needs a UTF-8 locale; sorting in the order of the alphabet of one place would not repeat.
speak_utf8 <- function() {
  for (name in c("C.UTF-8", "C.utf8", "en_US.UTF-8", "UTF-8")) {
    if (l10n_info()[["UTF-8"]]) break
    suppressWarnings(Sys.setlocale("LC_CTYPE", name))
  }
  suppressWarnings(Sys.setlocale("LC_COLLATE", "C"))
}
