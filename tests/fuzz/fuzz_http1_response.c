#include "fuzz_http1_head.h"

static void check_round(struct reader input)
{
    struct http1_head h, back;
    struct buf wire;
    char reason[HTTP1_LINE_MAX] = {0};

    if (http1_response_decode(&input, &h) != RC_OK || h.minor == 0)
        return; /* we only write 1.1 */
    struct reader text = h.reason;
    reader_copy(&text, reason, text.left);
    buf_init(&wire, 4 * HTTP1_HEAD_MAX);
    http1_put_status(&wire, h.status, reason);
    put_fields(&wire, &h);
    struct reader again = buf_view(&wire);
    if (again.left <= HTTP1_HEAD_MAX) {
        enum rc rc = http1_response_decode(&again, &back);
        assert(rc == RC_OK && again.left == 0);
        assert(h.status == back.status && fuzz_same(h.reason, back.reason));
        check_same_fields(&h, &back);
    }
    buf_done(&wire);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    check_cuts(http1_response_decode, reader_of(data, len));
    check_round(reader_of(data, len));
    return 0;
}
