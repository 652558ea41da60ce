#include "wire/frame.h"

#include "fuzz.h"

/* What decodes as HELLO encodes back to the same bytes. */
static void check_hello(struct reader body)
{
    struct frame_hello h;
    struct frame_head head;
    struct buf out;

    if (frame_hello_decode(body, &h) != RC_OK)
        return;
    assert(h.version_min <= h.version_max && h.generation > 0);
    buf_init(&out, 1024);
    frame_hello_encode(&out, &h);
    assert(buf_ok(&out));
    struct reader again = buf_view(&out);
    assert(frame_head_decode(&again, &head) == RC_OK && head.type == FRAME_HELLO);
    assert(again.left == body.left && memcmp(again.at, body.at, body.left) == 0);
    buf_done(&out);
}

/* Every head that is taken is one that §6.1 allows, and is written as it was read. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct reader in = reader_of(data, len);
    struct frame_head h;
    enum rc rc;

    check_hello(in);
    for (;;) {
        struct reader before = in;
        uint8_t out[FRAME_HEAD];
        rc = frame_head_decode(&in, &h);
        if (rc != RC_OK)
            break;
        assert(h.type >= FRAME_HELLO && h.type < FRAME_TYPES_ && h.length <= FRAME_DATA_MAX);
        assert(before.left - in.left == FRAME_HEAD);
        frame_head_write(out, &h);
        assert(memcmp(out, before.at, FRAME_HEAD) == 0);
        struct reader body = reader_slice(&in, h.length < in.left ? h.length : in.left);
        if (h.type == FRAME_HELLO)
            check_hello(body);
    }
    assert(rc == RC_AGAIN ? in.left < FRAME_HEAD : (rc == RC_PROTO || rc == RC_LIMIT));
    return 0;
}
