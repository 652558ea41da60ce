#include "wire/base64.h"

#include "fuzz.h"

typedef void encoder(struct buf *out, struct reader bytes);
typedef enum rc decoder(struct buf *out, struct reader text);

/* Every byte string has one text, and no other text decodes. */
static void check(struct reader input, encoder *encode, decoder *decode)
{
    struct buf text, bytes;

    buf_init(&text, 2 * input.left + 4);
    buf_init(&bytes, input.left + 4);
    enum rc rc = decode(&bytes, input);
    assert(rc == RC_OK || (rc == RC_INPUT && bytes.len == 0));
    if (rc == RC_OK) {
        encode(&text, buf_view(&bytes));
        assert(fuzz_same(buf_view(&text), input));
    }
    buf_clear(&text);
    buf_clear(&bytes);
    encode(&text, input);
    rc = decode(&bytes, buf_view(&text));
    assert(rc == RC_OK && buf_ok(&bytes) && fuzz_same(buf_view(&bytes), input));
    buf_done(&text);
    buf_done(&bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    check(reader_of(data, len), base64_encode, base64_decode);
    check(reader_of(data, len), base64url_encode, base64url_decode);
    return 0;
}
