#pragma once

/*
 * commands -- what `connect-hub` can be told besides `serve`, and serve's options. Each takes the
 * words behind its own name and returns the exit code: 0, 1 failed, 2 used wrongly.
 */
int command_serve(int argc, char **argv);
int command_config(int argc, char **argv);
int command_key(int argc, char **argv);

/* Says on standard error, or with `json` on standard output as {"v":1,"error":{…}}, what went
 * wrong; returns `code`. */
int command_fail(int code, int json, const char *message);
