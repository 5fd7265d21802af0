"""The line to the warehouse breaks around a COMMIT: the load finds out what has become of it, and never guesses."""

from __future__ import annotations

import pytest

from fault.warehouse_line import Lose, WarehouseLine
from feedline.errors import WarehouseUnavailableError
from feedline.kafka.registry import registry_client, writer_schema
from feedline.warehouse import connection as connection_module
from feedline.warehouse.connection import connect
from feedline.warehouse.load import Step
from feedline.warehouse.reload import rebuild_delivery, replace_batches

RECORDS = 40


@pytest.fixture
def line(warehouse_settings):
    line = WarehouseLine(warehouse_settings.warehouse["port"])
    yield line
    line.close()


@pytest.fixture
def through(line, warehouse_settings, monkeypatch):
    """A connection over the line that gives up on a request after 3 seconds."""
    monkeypatch.setattr(connection_module, "ROLLBACK_SECONDS", 3)
    session = connect({**warehouse_settings.warehouse, "port": line.port, "network_timeout": 3})
    yield session
    line.close()
    session.close(retry=False)


@pytest.fixture
def published(holdings, make_holding):
    holdings.publish([make_holding(number) for number in range(RECORDS)])
    return holdings


def loaded_batches(holdings):
    [(batches, ids)] = holdings.query(
        "SELECT COUNT(*), COUNT(DISTINCT CORRELATION_ID) FROM {control}.LOAD_LEDGER "
        f"WHERE FEED = '{holdings.feed.name}' AND STATUS = 'LOADED'"
    )
    return batches, ids


def test_a_commit_whose_answer_is_lost_is_read_back_and_counts_as_loaded(published, line, through):
    line.lose("COMMIT", Lose.AFTER)
    result = published.load(connection=through)
    assert line.lost["COMMIT", Lose.AFTER]
    assert result.records == RECORDS
    assert result.checkpoints == published.ends
    assert published.orders() == list(range(RECORDS))


def test_a_commit_that_never_arrives_is_told_as_such_and_the_retry_loads_once(published, line, through):
    line.lose("COMMIT", Lose.BEFORE)
    with pytest.raises(WarehouseUnavailableError, match="have not moved"):
        published.load(connection=through)
    assert line.lost["COMMIT", Lose.BEFORE]
    assert published.orders() == []
    line.heal()
    assert published.load(connection=through).records == RECORDS
    assert published.orders() == list(range(RECORDS))


def test_a_transaction_that_may_still_be_open_is_never_asked_whether_it_has_committed(published, line, through):
    # Inside it the checkpoints have moved, for nobody else and perhaps not for long.
    line.lose("COMMIT", Lose.BEFORE)
    line.lose("ROLLBACK", Lose.BEFORE)
    with pytest.raises(WarehouseUnavailableError, match="not known"):
        published.load(connection=through)
    assert line.lost["ROLLBACK", Lose.BEFORE]
    with pytest.raises(WarehouseUnavailableError, match="may still be in a transaction"):
        published.load(connection=through)
    line.heal()
    assert published.load(connection=through).records == RECORDS
    assert published.orders() == list(range(RECORDS))


# The connector cancels a statement that is late from a thread of its own, which then cannot reach the server either.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_line_that_is_cut_at_the_commit_leaves_all_or_nothing(published, line, through):
    def cut(step):
        if step is Step.COMMITTING:
            line.lose("", Lose.DURING)

    with pytest.raises(WarehouseUnavailableError, match="not known"):
        published.load(connection=through, on_step=cut)
    assert line.lost["", Lose.DURING]
    line.close()
    published.load()
    assert published.orders() == list(range(RECORDS))
    assert loaded_batches(published) == (4, 4)


@pytest.mark.parametrize("when", [Lose.DURING, Lose.AFTER])
@pytest.mark.parametrize("statement", ["BEGIN", "UPDATE", "COPY", "INSERT", "COMMIT"])
def test_a_statement_that_the_connector_repeats_is_done_once(published, line, through, statement, when):
    line.lose(statement, when, times=1)
    assert published.load(connection=through).records == RECORDS
    assert line.lost[statement, when] == 1
    assert published.orders() == list(range(RECORDS))
    assert loaded_batches(published) == (4, 4)


@pytest.fixture(params=["repair", "rebuild"])
def reload(request, holdings, make_holding):
    """Loads anew, by one mode of a replay, the delivery of which a row was lost."""
    manifest = holdings.publish([make_holding(number) for number in range(RECORDS)])
    holdings.load()
    holdings.query('DELETE FROM {table} WHERE "ORDER" = 7')
    registry = registry_client(holdings.settings.registry)
    common = {"writer_schema": lambda number: writer_schema(registry, number), "on_bad_batch": pytest.fail}

    def run(connection):
        if request.param == "repair":
            return replace_batches(connection, holdings.feed, holdings.read(), **common)
        return rebuild_delivery(connection, holdings.feed, manifest, holdings.read(), **common)

    return run


def test_a_replay_s_commit_whose_answer_is_lost_is_read_back_from_the_ledger(reload, holdings, line, through):
    line.lose("COMMIT", Lose.AFTER)
    result = reload(through)
    assert line.lost["COMMIT", Lose.AFTER]
    assert (result.records, result.transactions) == (RECORDS, 1)
    assert holdings.orders() == list(range(RECORDS))
    assert loaded_batches(holdings) == (4, 4)


def test_a_replay_s_commit_that_never_arrives_is_told_and_doing_it_again_loads_once(reload, holdings, line, through):
    left = [number for number in range(RECORDS) if number != 7]
    line.lose("COMMIT", Lose.BEFORE)
    with pytest.raises(WarehouseUnavailableError, match="replaces what is there"):
        reload(through)
    assert holdings.orders() == left
    # The ledger is not asked in a transaction that may still be open: there it tells of what nobody else may ever see.
    line.lose("ROLLBACK", Lose.BEFORE)
    with pytest.raises(WarehouseUnavailableError, match="whether it was committed is not known"):
        reload(through)
    assert line.lost["ROLLBACK", Lose.BEFORE]
    line.heal()
    assert reload(through).records == RECORDS
    assert holdings.orders() == list(range(RECORDS))
    assert loaded_batches(holdings) == (4, 4)
