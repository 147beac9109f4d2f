"""The command line: parse, call one library function, print. One module per noun."""
