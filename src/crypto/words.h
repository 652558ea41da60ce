#pragma once

/* words -- 512 short English words that are hard to mistake for each other when read aloud. */
enum { WORDS_COUNT = 512, WORDS_BITS = 9 };
extern const char *const words[WORDS_COUNT];
