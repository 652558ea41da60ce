#pragma once

#include "hub/routes.h"

/* api -- JSON in, JSON out: one handler per route. Each answers its request, now or later, exactly
 * once. */
void api_health(struct request *q);
void api_ready(struct request *q);
void api_version(struct request *q);
void api_agents_create(struct request *q);
void api_whoami(struct request *q);
void api_control(struct request *q);
void api_pipe(struct request *q);
