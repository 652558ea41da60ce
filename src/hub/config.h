#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/log.h"
#include "base/rc.h"
#include "hub/client_ip.h"
#include "wire/address.h"

/*
 * config -- the settings of `connect-hub serve`: one table gives each its key, type,
 * default and check; it serves the file, the command line and the help text.
 *
 * A loaded config is never changed. A reload builds another one and swaps.
 */
struct config {
    char *listen, *data, *public_url, *tls_cert, *tls_key, *trusted_proxies; /* "": not set */
    char *log_level, *log_format;
    bool plain_http;
    uint64_t relay_threads; /* 0: as many as there are processors, at most 4 */
    uint64_t agents_per_workspace, opens_per_second, token_days;

    /* What the checks made of them. */
    struct address listen_at;
    struct ip_range *proxies;
    size_t proxy_count;
    enum log_level level;
    bool log_text;
};

/* One setting as it was given on the command line. Borrowed. */
struct config_given {
    const char *key, *value;
};

/* Where a config comes from; kept for reloading. All borrowed. */
struct config_source {
    const char *file; /* NULL: none */
    const struct config_given *given;
    size_t given_count;
};

enum { CONFIG_WHY_SIZE = 512, CONFIG_FILE_MAX = 64 * 1024 };

/* The command line wins over the file, the file over the defaults. RC_INPUT: `why` says what is
 * wrong and where. */
MUST_CHECK enum rc config_load(const struct config_source *from, struct config **out,
                               char why[CONFIG_WHY_SIZE]);
void config_free(struct config *c); /* NULL is fine */

/*
 * For a reload: settings that cannot change while the hub runs get the value of `running` again.
 * Gives the key of one that differed, or NULL.
 */
const char *config_keep_fixed(struct config *fresh, const struct config *running);

/* For help texts and the command line. */
struct config_setting {
    const char *key;
    const char *argument; /* how the value is called; NULL: a flag */
    const char *what;
    const char *fallback;
};
size_t config_setting_count(void);
struct config_setting config_setting_at(size_t i);
/* The key for an option such as "tls-cert". NULL: none. */
const char *config_key_of_option(const char *option);
/* The value in `c` as text. */
void config_text(const struct config *c, size_t setting, char *out, size_t size);
