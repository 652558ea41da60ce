/*
 * Runs a fuzzer's function over files instead of under libFuzzer, so that its corpus is an ordinary
 * test:
 *
 *     corpus_<name> <file or folder>...
 */
#include <dirent.h>
#include <limits.h>
#include <stdio.h>

#include "base/file.h"
#include "base/text.h"
#include "fuzz.h"

enum { INPUT_MAX = 1024 * 1024 };

static unsigned run_file(const char *path)
{
    struct buf content;

    buf_init(&content, INPUT_MAX);
    if (file_read(path, &content) != RC_OK) {
        (void)fprintf(stderr, "%s: cannot be read\n", path);
        exit(2);
    }
    uint8_t *bytes = fuzz_copy(buf_view(&content));
    (void)LLVMFuzzerTestOneInput(bytes, content.len);
    free(bytes);
    buf_done(&content);
    return 1;
}

static unsigned run_path(const char *path)
{
    char file[PATH_MAX];
    unsigned count = 0;
    DIR *folder = opendir(path);

    if (folder == NULL)
        return run_file(path);
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        if (entry->d_name[0] == '.')
            continue;
        if (text_format(file, sizeof file, "%s/%s", path, entry->d_name) != RC_OK)
            exit(2);
        (void)fprintf(stderr, "%s\n",
                      entry->d_name); /* the last one named is the one that failed */
        count += run_file(file);
    }
    (void)closedir(folder);
    return count;
}

int main(int argc, char **argv)
{
    unsigned count = 0;

    for (int i = 1; i < argc; i++)
        count += run_path(argv[i]);
    (void)printf("%u inputs\n", count);
    return count > 0 ? 0 : 1; /* an empty corpus tests nothing */
}
