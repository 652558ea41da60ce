/*
 * sim -- the mux of two agents over pipes that are cut again and again, in virtual time.
 *
 *     sim [--seed N] [--cuts N] [--fault none|no-fence|one-ahead|one-behind] [--twice]
 * [--expect-violation]
 *
 * A seed replays a run exactly; --twice shows it. Prints what was carried and a digest of the run.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "sim.h"
#include "verdict.h"
#include "world.h"

enum { LIFE_CUTS_LEAST = 20, LIFE_CUTS_MOST = 2000 };

struct options {
    uint64_t seed, cuts;
    enum node_fault fault;
    bool twice;
};

static uint64_t run(const struct options *o)
{
    static struct world w;

    verdict_place = (struct verdict_place){.seed = o->seed};
    world_init(&w, o->seed, o->fault);
    while (w.cuts < o->cuts) {
        uint64_t most = LIFE_CUTS_LEAST + chance_skewed(&w.chance, LIFE_CUTS_MOST);
        world_live(&w, o->cuts - w.cuts < most ? o->cuts - w.cuts : most);
    }
    (void)printf("seed %llu: %llu cuts of %llu pipes that came up, %llu steps, %llu streams (%llu "
                 "resets), %llu bytes, "
                 "%llu datagrams, %llu s of virtual time, digest %016llx\n",
                 (unsigned long long)o->seed, (unsigned long long)w.cuts,
                 (unsigned long long)w.nodes[0].attached, (unsigned long long)verdict_place.step,
                 (unsigned long long)w.traffic.streams, (unsigned long long)w.traffic.resets,
                 (unsigned long long)w.traffic.bytes, (unsigned long long)w.traffic.datagrams,
                 (unsigned long long)(w.now / 1000), (unsigned long long)w.digest);
    uint64_t digest = w.digest;
    world_done(&w);
    return digest;
}

static enum node_fault fault_named(const char *name)
{
    static const char *const names[NODE_FAULTS_] = {"none", "no-fence", "one-ahead", "one-behind"};

    for (unsigned i = 0; i < NODE_FAULTS_; i++)
        if (strcmp(name, names[i]) == 0)
            return (enum node_fault)i;
    (void)fprintf(stderr, "unknown fault: %s\n", name);
    exit(2);
}

static struct options parse(int argc, char **argv)
{
    struct options o = {.seed = 1, .cuts = 10000};

    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : "";
        if (strcmp(argv[i], "--twice") == 0) {
            o.twice = true;
            continue;
        }
        if (strcmp(argv[i], "--expect-violation") == 0) {
            verdict_expect();
            continue;
        }
        if (strcmp(argv[i], "--seed") == 0) {
            o.seed = strtoull(value, NULL, 10);
        } else if (strcmp(argv[i], "--cuts") == 0) {
            o.cuts = strtoull(value, NULL, 10);
        } else if (strcmp(argv[i], "--fault") == 0) {
            o.fault = fault_named(value);
        } else {
            (void)fprintf(stderr, "unknown option: %s\n", argv[i]);
            exit(2);
        }
        i++;
    }
    return o;
}

int sim_main(int argc, char **argv)
{
    struct options o = parse(argc, argv);
    uint64_t digest = run(&o);

    if (o.twice && run(&o) != digest)
        verdict_violation("the same seed gave another run");
    return verdict_none();
}
