#include "fuzz_http1_head.h"

/* A request that was taken is one for our own encoder, and means the same afterwards. */
static void check_round(struct reader input)
{
    struct http1_head h, back;
    struct buf wire;

    if (http1_request_decode(&input, &h) != RC_OK || h.minor == 0)
        return; /* we only write 1.1 */
    buf_init(&wire, 4 * HTTP1_HEAD_MAX);
    http1_put_request(&wire, h.method, h.target);
    put_fields(&wire, &h);
    struct reader again = buf_view(&wire);
    if (again.left <= HTTP1_HEAD_MAX) { /* spaces behind colons may make it longer */
        enum rc rc = http1_request_decode(&again, &back);
        assert(rc == RC_OK && again.left == 0);
        assert(fuzz_same(h.method, back.method) && fuzz_same(h.target, back.target));
        assert(fuzz_same(h.path, back.path) && fuzz_same(h.authority, back.authority));
        assert(http1_header_count(&h, "host") == 1);
        check_same_fields(&h, &back);
    }
    buf_done(&wire);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    check_cuts(http1_request_decode, reader_of(data, len));
    check_round(reader_of(data, len));
    return 0;
}
