from __future__ import annotations

from datetime import datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from supervisor.agenda import SLACK, Agenda, Entry
from tests.fakes import NOON


def entry(seconds: float, job_id: str = "a", jitter: float = 0) -> Entry:
    occurrence = NOON + timedelta(seconds=seconds)
    return Entry(occurrence + timedelta(seconds=jitter), job_id, occurrence)


def agenda_of(*entries: Entry) -> Agenda:
    agenda = Agenda()
    for one in entries:
        agenda.put(one)
    return agenda


def in_seconds(number: float) -> datetime:
    return NOON + timedelta(seconds=number)


def test_what_is_due_comes_out_earliest_first_and_once() -> None:
    agenda = agenda_of(entry(3, "c"), entry(1, "a"), entry(2, "b"), entry(9, "d"))
    assert [one.job_id for one in agenda.take_due(in_seconds(3), 99)] == ["a", "b", "c"]
    assert agenda.take_due(in_seconds(3), 99) == []
    assert agenda.next_due() == in_seconds(9)


def test_a_herd_comes_out_in_parts() -> None:
    agenda = agenda_of(*(entry(0, f"job-{number}") for number in range(5)))
    parts = [[one.job_id for one in agenda.take_due(in_seconds(0), 2)] for _ in range(3)]
    assert parts == [["job-0", "job-1"], ["job-2", "job-3"], ["job-4"]]


def test_jitter_moves_when_to_act_not_the_occurrence() -> None:
    agenda = agenda_of(entry(1, "a", jitter=5), entry(2, "b"))
    assert [one.job_id for one in agenda.take_due(in_seconds(4), 99)] == ["b"]
    assert agenda.next_due() == in_seconds(6)
    assert agenda.take_due(in_seconds(6), 99)[0].occurrence == in_seconds(1)


def test_a_job_has_one_entry_the_last_one() -> None:
    agenda = agenda_of(entry(1), entry(5), entry(3))
    assert agenda.of("a") == entry(3)
    assert agenda.take_due(in_seconds(9), 99) == [entry(3)]
    assert agenda.next_due() is None


def test_an_equal_entry_that_was_replaced_does_not_come_twice() -> None:
    agenda = agenda_of(entry(1), entry(1))
    assert agenda.take_due(in_seconds(1), 99) == [entry(1)]


def test_a_dropped_job_does_not_come_up() -> None:
    agenda = agenda_of(entry(1), entry(2, "b"))
    agenda.drop("a")
    agenda.drop("never heard of")
    assert agenda.next_due() == in_seconds(2)
    assert [one.job_id for one in agenda.take_due(in_seconds(2), 99)] == ["b"]


def test_ten_thousand_edits_of_one_job_do_not_pile_up() -> None:
    agenda = agenda_of(*(entry(10_000 - number) for number in range(10_000)))
    assert len(agenda._heap) <= SLACK + 3
    assert agenda.take_due(in_seconds(10_000), 99) == [entry(1)]


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("put"), st.sampled_from("abcdef"), st.integers(0, 50)),
            st.tuples(st.just("drop"), st.sampled_from("abcdef"), st.just(0)),
            st.tuples(st.just("take"), st.just(""), st.integers(0, 50)),
        ),
        max_size=200,
    )
)
def test_it_behaves_as_a_plain_dictionary_would(steps: list[tuple[str, str, int]]) -> None:
    agenda, plain = Agenda(), dict[str, Entry]()
    for what, job_id, number in steps:
        if what == "put":
            agenda.put(entry(number, job_id))
            plain[job_id] = entry(number, job_id)
        elif what == "drop":
            agenda.drop(job_id)
            plain.pop(job_id, None)
        else:
            due = sorted(one for one in plain.values() if one.due <= in_seconds(number))
            assert agenda.take_due(in_seconds(number), 99) == due
            for one in due:
                del plain[one.job_id]
        assert agenda.next_due() == min((one.due for one in plain.values()), default=None)
