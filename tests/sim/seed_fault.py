#!/usr/bin/env python3
"""Seed a fault into a copy of one source file, to show that the simulator catches it.

    seed_fault.py NAME SOURCE OUTPUT

A fault is an exact replacement that must apply exactly once: when the source changes so that it no
longer does, the build fails and the fault is to be seeded anew.
"""
import pathlib
import sys

# name: (file, what is there, what is put in its place)
FAULTS = {
    "old_generation_taken": (
        "session.c",
        "    if (generation <= s->generation)\n        return RC_PROTO;\n",
        "",
    ),
    "resumed_where_we_stopped": (
        "session.c",
        "replay_rewind(&s->replay, peer_received, now_ms)",
        "replay_rewind(&s->replay, s->replay.cursor + 0 * peer_received, now_ms)",
    ),
    "rest_of_frame_not_first": (
        "session.c",
        "        s->lane = LANE_SEQUENCE;\n",
        "        s->lane = LANE_NONE;\n",
    ),
    "lane_outlives_its_pipe": (
        "session.c",
        "    s->lane = LANE_NONE;\n    s->ack_ms = UINT64_MAX;\n",
        "    s->ack_ms = UINT64_MAX;\n",
    ),
    "beside_outlives_its_pipe": (
        "session.c",
        "    s->ping.least_us = 0;\n    beside_clear(&s->beside);\n",
        "    s->ping.least_us = 0;\n",
    ),
    "ack_timer_forgotten": (
        "session.c",
        "        s->ack_ms = s->now_ms + SESSION_ACK_MS;\n",
        "        s->ack_ms = UINT64_MAX;\n",
    ),
    "nobody_is_offered_room": (
        "session.c",
        "    outlet_offer_room(s); /* after ACK and CREDIT */\n",
        "",
    ),
    "ack_one_ahead": (
        "outlet.c",
        "        s->told = intake_received(&s->intake);\n",
        "        s->told = intake_received(&s->intake) + 1;\n",
    ),
    "ack_moved_back": (
        "outlet.c",
        "        s->told = intake_received(&s->intake);\n",
        "        s->told = intake_received(&s->intake);\n        s->told -= s->told > 100 ? s->ping.token % 8 : 0;\n",
    ),
    "frames_mixed": (
        "outlet.c",
        "    bool whole = len == replay_piece(&s->replay).left;",
        "    bool whole = len > 0;",
    ),
    "beginning_of_frame_dropped": (
        "intake.c",
        "    if (goes_on)\n        return;\n",
        "    (void)goes_on;\n",
    ),
    "unsequenced_frame_continued": (
        "intake.c",
        "    if (goes_on)\n        return;\n",
        "    if (goes_on || in->received > 0)\n        return;\n",
    ),
    "beginning_of_head_not_counted": (
        "intake.c",
        "    return in->received + (partial_head_is_sequenced(in) ? in->partial.len : 0);\n",
        "    return in->received;\n",
    ),
    "credit_wakes_nobody": (
        "intake.c",
        "    if (st->wants_room && list_is_empty(&st->waiting))\n",
        "    if (st->wants_room && st->turn == SIZE_MAX)\n",
    ),
    "end_before_the_last_bytes": (
        "intake.c",
        "    on_data_bytes(s, data);\n",
        "    data.left -= data.left > 1 && in->received % 64 == 0;\n    on_data_bytes(s, data);\n",
    ),
    "chunk_sent_again_from_its_start": (
        "replay.c",
        "r->at->from + (size_t)(offset - begins)",
        "r->at->from + 0 * (size_t)(offset - begins)",
    ),
    "chunk_freed_too_early": (
        "replay.c",
        "r->base + (c->to - c->from) > offset)",
        "r->base + (c->to - c->from) > offset + 8)",
    ),
    "fin_sent_twice": (
        "streams.c",
        "    outlet_add(s, frame, frame_fin_write(frame, st->id));\n",
        "    outlet_add(s, frame, frame_fin_write(frame, st->id));\n" * 2,
    ),
    "own_reset_forgotten": (
        "streams.c",
        "    *reset_word(s, st->id) |= reset_bit(st->id);\n",
        "",
    ),
    "held_bytes_not_given_back": (
        "streams.c",
        "    s->budget->buffered_used -= len;\n",
        "",
    ),
    "credit_counted_twice": (
        "credit.c",
        "    c->consumed += len;\n",
        "    c->consumed += len + (len < c->received - c->consumed ? 1 : 0);\n",
    ),
    "credit_added_to_credit": (
        "credit.c",
        "    c->limit = limit;\n",
        "    c->limit += limit;\n",
    ),
    "credit_never_granted": (
        "credit.c",
        "c->window / GRANT_PARTS",
        "c->window * GRANT_PARTS",
    ),
    "datagram_before_its_open": (
        "beside.c",
        "    return batch->after > now ? reader_of(NULL, 0) : buf_view(&batch->frames);\n",
        "    (void)now;\n    return buf_view(&batch->frames);\n",
    ),
}


def main():
    name, source, output = sys.argv[1], pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3])
    file, old, new = FAULTS[name]
    text = source.read_text()
    if source.name != file or text.count(old) != 1:
        sys.exit(f"fault {name}: its text is not exactly once in {source}")
    output.write_text(text.replace(old, new))


main()
