#include "hub/routes.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/platform.h"
#include "base/text.h"
#include "hub/api/api.h"
#include "hub/hub.h"

/* What a request must show in its Authorization header. */
enum auth { AUTH_NONE, AUTH_API_KEY, AUTH_AGENT, AUTH_TICKET };

static const struct route {
    const char *method, *path;
    enum auth auth;
    void (*handle)(struct request *q);
} routes[] = {
    {"GET", "/healthz", AUTH_NONE, api_health},
    {"GET", "/readyz", AUTH_NONE, api_ready},
    {"GET", "/version", AUTH_NONE, api_version},
    {"POST", "/v1/agents", AUTH_API_KEY, api_agents_create},
    {"GET", "/v1/whoami", AUTH_AGENT, api_whoami},
    {"GET", "/v1/control", AUTH_AGENT, api_control},
    {"GET", "/v1/pipe", AUTH_TICKET, api_pipe},
};
enum { ROUTES = sizeof routes / sizeof routes[0] };

static const char security_headers[] =
    "X-Content-Type-Options: nosniff\r\n"
    "X-Frame-Options: DENY\r\n"
    "Referrer-Policy: no-referrer\r\n"
    "Content-Security-Policy: default-src 'none'; frame-ancestors 'none'\r\n"
    "Cache-Control: no-store\r\n";

/* --- answers --------------------------------------------------------------------------------- */

static void respond(struct request *q, unsigned status, char *body, const char *extra)
{
    char headers[1024], ip[CLIENT_IP_SIZE];

    client_ip_mask(q->ip, ip);
    log_debug("http.request", log_str("id", q->id), log_str("method", http_method(q->exchange)),
              log_str("path", http_path(q->exchange)), log_u64("status", status),
              log_str("ip", ip));
    text_message(headers, sizeof headers, "%s%sX-Request-Id: %s\r\n%s", security_headers,
                 /* With a certificate of our own it would lock browsers out for good. */
                 q->hub->tls && !q->hub->own_certificate
                     ? "Strict-Transport-Security: max-age=31536000\r\n"
                     : "",
                 q->id, extra);
    http_respond(q->exchange, status, "application/json", reader_of(body, strlen(body)), headers);
    mem_wipe(body, strlen(body)); /* it may hold a token */
    free(body);
    request_end(q);
}

void request_end(struct request *q)
{
    free(q);
}

void request_answer(struct request *q, unsigned status, char *body)
{
    respond(q, status, body, "");
}

static const char *code_of(unsigned status)
{
    static const struct {
        unsigned status;
        const char *code;
    } codes[] = {
        {400, "bad_request"}, {401, "unauthorized"}, {403, "forbidden"}, {404, "not_found"},
        {405, "bad_request"}, {409, "conflict"},     {429, "limit"},     {503, "unavailable"},
    };

    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++)
        if (codes[i].status == status)
            return codes[i].code;
    return "internal";
}

static void fail(struct request *q, unsigned status, const char *message, const char *extra)
{
    json_t *object = json_pack("{s:{s:s, s:s}, s:s}", "error", "code", code_of(status), "message",
                               message, "request_id", q->id);
    char *body = object ? json_dumps(object, JSON_COMPACT) : NULL;

    json_decref(object);
    respond(q, status, body ? body : text_dup("{}"), extra);
}

void request_fail(struct request *q, unsigned status, const char *message)
{
    fail(q, status, message,
         status == 401   ? "WWW-Authenticate: Bearer\r\n"
         : status == 503 ? "Retry-After: 2\r\n"
                         : "");
}

void request_unavailable(struct request *q)
{
    request_fail(q, 503, "The hub cannot reach its database now; try again in a moment");
}

void request_unauthorized(struct request *q)
{
    request_fail(q, 401, "The key, token or ticket is not valid, or not any more");
}

/* --- who asks -------------------------------------------------------------------------------- */

static const struct route *route_of(const struct request *q);

static void on_access(struct store_job *job)
{
    struct request *q = list_entry(job, struct request, access.job);

    if (outcome_is_unavailable(&q->access.outcome, "access")) {
        request_unavailable(q);
    } else if (q->access.outcome.rc != RC_OK) {
        request_unauthorized(q);
    } else {
        q->who = q->access.who;
        route_of(q)->handle(q);
    }
}

static void check_agent(struct request *q)
{
    q->access.token = q->secret;
    enum rc rc = access_submit(q->hub->store, &q->access, on_access);
    if (rc == RC_OK)
        return;
    outcome_refused(rc, "access");
    request_unavailable(q);
}

/* The shape is checked here; whether there is such a key or ticket, by who handles it. */
static enum rc read_secret(struct request *q, enum auth auth)
{
    static const enum token_kind kinds[] = {
        [AUTH_API_KEY] = TOKEN_API_KEY, [AUTH_AGENT] = TOKEN_AGENT, [AUTH_TICKET] = TOKEN_TICKET};
    const char *bearer = http_bearer(q->exchange);

    if (bearer == NULL)
        return RC_AUTH;
    return token_hash_of(kinds[auth], reader_of(bearer, strlen(bearer)), &q->secret);
}

/* --- dispatch -------------------------------------------------------------------------------- */

static const struct route *route_of(const struct request *q)
{
    for (size_t i = 0; i < ROUTES; i++)
        if (strcmp(routes[i].path, http_path(q->exchange)) == 0 &&
            strcmp(routes[i].method, http_method(q->exchange)) == 0)
            return &routes[i];
    return NULL;
}

/* No route: is it the path or the method that is wrong? */
static void refuse(struct request *q)
{
    char methods[64] = "", allow[sizeof methods + 16];

    for (size_t i = 0; i < ROUTES; i++) {
        size_t len = strlen(methods);
        if (strcmp(routes[i].path, http_path(q->exchange)) == 0)
            text_message(methods + len, sizeof methods - len, "%s%s", len > 0 ? ", " : "",
                         routes[i].method);
    }
    text_message(allow, sizeof allow, "Allow: %s\r\n", methods);
    if (methods[0] == '\0')
        request_fail(q, 404, "There is nothing here");
    else
        fail(q, 405, "This address does not take that method", allow);
}

static struct request *request_new(struct hub *hub, struct http_exchange *x)
{
    struct request *q = mem_zalloc(sizeof *q);
    uint8_t random[8];

    q->hub = hub;
    q->exchange = x;
    platform_random(random, sizeof random);
    memcpy(q->id, "req_", 4);
    text_hex(reader_of(random, sizeof random), q->id + 4);
    client_ip_forwarded(http_peer(x), http_header(x, "X-Forwarded-For"), hub->config->proxies,
                        hub->config->proxy_count, q->ip);
    return q;
}

void routes_dispatch(struct hub *hub, struct http_exchange *x)
{
    struct request *q = request_new(hub, x);
    const struct route *route = route_of(q);

    if (route == NULL)
        refuse(q);
    else if (route->auth != AUTH_NONE && read_secret(q, route->auth) != RC_OK)
        request_unauthorized(q);
    else if (route->auth == AUTH_AGENT)
        check_agent(q);
    else
        route->handle(q);
}
