#pragma once

/* The whole program; apart from main.c, so that it links before and after sources with a seeded
 * fault. */
int sim_main(int argc, char **argv);
