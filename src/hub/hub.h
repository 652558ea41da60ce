#pragma once

#include <stdbool.h>

#include "base/list.h"
#include "base/map.h"
#include "hub/config.h"
#include "hub/outer_cert.h"
#include "hub/registry.h"
#include "hub/rendezvous.h"
#include "store/store.h"

/*
 * hub -- everything that `connect-hub serve` runs, put together: owns what stands in the struct, on
 * the loop thread. Routes, api and links borrow it.
 */
struct hub {
    struct loop *loop;
    struct config *config; /* swapped by a reload */
    struct store *store;
    struct registry *registry;
    struct reaches *reaches;
    struct rendezvous *rendezvous;
    struct http_server *http;
    struct ssl_ctx_st *tls;                  /* NULL: plain */
    char fingerprint[FINGERPRINT_TEXT_SIZE]; /* "": plain */
    bool own_certificate;
    struct map greeting; /* agent id -> its link that has not said hello yet */
    struct list links;   /* control links and their work that are not gone yet */
    bool stopping;
};

/*
 * Runs until SIGTERM or SIGINT. `from` is borrowed until then, for reloads. `json`: how wrong
 * settings are told. Returns the exit code.
 */
int hub_serve(const struct config_source *from, int json);
