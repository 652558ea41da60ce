/*
 * connect-hub -- the server: `serve` runs it, the other commands are for its operator.
 */
#include <stdio.h>
#include <string.h>

#include "base/platform.h"
#include "hub/commands.h"

static const char help[] =
    "connect-hub: lets agents reach each other's private services by name.\n"
    "\n"
    "  connect-hub serve                          run the hub\n"
    "  connect-hub key create --workspace NAME    make an API key, and the workspace if it is new\n"
    "  connect-hub key list --workspace NAME      list its keys\n"
    "  connect-hub key revoke ID --workspace NAME end a key\n"
    "  connect-hub config check --config FILE     look whether settings are right\n"
    "  connect-hub version\n"
    "\n"
    "Each command has --help. Documentation: docs/ beside the source.\n";

static int version(int argc, char **argv)
{
    (void)argv;
    if (argc > 0 && strcmp(argv[0], "--json") == 0)
        printf("{\"v\":1,\"version\":\"%s\",\"protocol\":{\"min\":1,\"max\":1}}\n",
               CONNECT_VERSION);
    else
        printf("connect-hub %s\n", CONNECT_VERSION);
    return 0;
}

static int print_help(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    (void)fputs(help, stdout);
    return 0;
}

static const struct {
    const char *name;
    int (*run)(int argc, char **argv);
} commands[] = {
    {"serve", command_serve}, {"key", command_key},   {"config", command_config},
    {"version", version},     {"--version", version}, {"help", print_help},
    {"--help", print_help},   {"-h", print_help},
};

int main(int argc, char **argv)
{
    platform_forbid_core();
    if (argc < 2) {
        (void)fputs(help, stderr);
        return 2;
    }
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++)
        if (strcmp(argv[1], commands[i].name) == 0)
            return commands[i].run(argc - 2, argv + 2);
    return command_fail(2, 0, "there is no such command; connect-hub --help lists them");
}
