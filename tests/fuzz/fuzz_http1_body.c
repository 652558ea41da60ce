#include "fuzz.h"
#include "wire/http1.h"

/*
 * Input: a byte for the framing, a byte for the length or the cuts, the body. In pieces it must
 * come out as in one, and end at the same byte in the same way.
 */
struct outcome {
    enum rc rc;
    size_t taken;
    bool done, may_end;
    struct buf data;
};

static void decode_in_pieces(struct http1_body body, struct reader input, uint32_t seed,
                             struct outcome *o)
{
    size_t whole = input.left;

    buf_init(&o->data, whole);
    o->rc = RC_AGAIN;
    while (o->rc == RC_AGAIN && input.left > 0) {
        size_t len = seed ? fuzz_piece(&seed, input.left) : input.left;
        uint8_t *copy = fuzz_copy(reader_slice(&input, len));
        struct reader in = reader_of(copy, len), data;
        while ((o->rc = http1_body_decode(&body, &in, &data)) == RC_OK) {
            assert(data.left > 0 || body.done);
            buf_put(&o->data, data);
            if (body.done)
                break;
        }
        assert(o->rc != RC_AGAIN || in.left == 0);
        o->taken = whole - input.left - in.left;
        free(copy);
    }
    o->done = body.done;
    o->may_end = http1_body_end(&body) == RC_OK;
    assert(buf_ok(&o->data));
}

static void check_cuts(struct http1_body body, struct reader input, uint32_t seed)
{
    struct outcome one = {0}, many = {0};

    decode_in_pieces(body, input, 0, &one);
    decode_in_pieces(body, input, seed | 1, &many);
    assert(one.rc == many.rc && one.done == many.done && one.may_end == many.may_end);
    assert(one.rc != RC_OK || one.taken == many.taken);
    assert(fuzz_same(buf_view(&one.data), buf_view(&many.data)));
    buf_done(&one.data);
    buf_done(&many.data);
}

/* Any bytes, in chunks of any size, come back. */
static void check_round(struct reader input, uint32_t seed)
{
    struct reader left = input;
    struct outcome o = {0};
    struct buf wire;

    buf_init(&wire, 16 * input.left + 16);
    while (left.left > 0)
        http1_put_chunk(&wire, reader_slice(&left, fuzz_piece(&seed, left.left)));
    http1_put_chunk_end(&wire);
    assert(buf_ok(&wire));
    decode_in_pieces((struct http1_body){.framing = HTTP1_CHUNKED}, buf_view(&wire), seed | 1, &o);
    assert(o.rc == RC_OK && o.done && o.taken == wire.len);
    assert(fuzz_same(buf_view(&o.data), input));
    buf_done(&o.data);
    buf_done(&wire);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct reader input = reader_of(data, len);
    uint8_t framing = reader_u8(&input) & 3, number = reader_u8(&input);
    struct http1_body body = {.framing = HTTP1_CHUNKED};

    if (!reader_ok(&input))
        return 0;
    if (framing == HTTP1_LENGTH)
        body = (struct http1_body){.framing = HTTP1_LENGTH, .left = number, .done = number == 0};
    else if (framing == HTTP1_UNTIL_CLOSE)
        body.framing = HTTP1_UNTIL_CLOSE;
    check_cuts(body, input, number);
    check_round(input, number);
    return 0;
}
