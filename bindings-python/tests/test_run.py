import pickle
import threading

import pytest

import ssmwire


def test_arguments_arrive_as_they_are(client):
    words = ["it's", "$HOME", "a b", "", "{{x}}", "\\", "é\n"]
    result = client.run("local", ["printf", "%s|", *words], text=True, check=True)
    assert result.stdout == "".join(word + "|" for word in words)
    assert (result.returncode, result.stderr) == (0, "")


def test_a_string_is_a_line_for_sh(client):
    result = client.run("local", "echo out; echo err >&2; exit 7")
    assert (result.returncode, result.stdout, result.stderr) == (7, b"out\n", b"err\n")


def test_check_makes_a_failure_an_error_with_the_output(client):
    with pytest.raises(ssmwire.CommandFailed) as caught:
        client.run("local", "echo out; echo err >&2; exit 7", check=True, text=True)
    assert (caught.value.returncode, caught.value.stdout, caught.value.stderr) == (7, "out\n", "err\n")


def test_what_a_command_had_written_before_its_timeout_is_in_the_error(client):
    with pytest.raises(ssmwire.TimeoutExpired) as caught:
        client.run("local", "echo so far; sleep 20", timeout=3)
    assert isinstance(caught.value, TimeoutError)
    assert (caught.value.stdout, caught.value.output, caught.value.timeout) == (b"so far\n", b"so far\n", 3)
    assert caught.value.session_id


def test_a_command_that_writes_more_than_is_taken_is_ended_and_what_fits_is_in_the_error(client):
    with pytest.raises(ssmwire.OutputTooLarge) as caught:
        # The agent and the client read both streams as they come: one has to be through before the other begins.
        client.run("local", "echo no >&2; sleep 2; yes", output_max=5)
    assert (caught.value.stdout, caught.value.stderr) == (b"y\ny\ny", b"no\n")
    assert pickle.loads(pickle.dumps(caught.value)).stdout == b"y\ny\ny"
    assert client.run("local", ["printf", "12345"], output_max=5).stdout == b"12345"
    [result] = client.run_many(["local"], ["printf", "12345"], output_max=4)
    assert result.error.stdout == b"1234"
    for wrong in (-1, 1 << 64):
        with pytest.raises(OverflowError):
            client.run("local", ["true"], output_max=wrong)
    with pytest.raises(TypeError):
        client.run("local", ["true"], output_max="5")


def test_binary_output_is_exact_for_every_byte(client):
    program = 'i=0; while [ $i -lt 256 ]; do printf "\\\\$(printf %o $i)"; i=$((i+1)); done'
    assert client.run("local", program, binary=True, check=True).stdout == bytes(range(256))


def test_all_of_a_large_output_arrives(client):
    result = client.run("local", "head -c 20000000 /dev/zero | tr '\\0' x", check=True)
    assert result.stdout == b"x" * 20_000_000


def test_output_that_comes_at_once_is_never_missed(client):
    assert all(client.run("local", ["echo", str(i)]).stdout == b"%d\n" % i for i in range(30))


def test_four_threads_wait_at_the_same_time(client, tmp_path):
    # None of the four commands ends before all of them run.
    command = f"touch {tmp_path}/$$; until [ $(ls {tmp_path} | wc -l) -eq 4 ]; do sleep 0.05; done"
    codes = []

    def run():
        codes.append(client.run("local", command, timeout=30).returncode)

    threads = [threading.Thread(target=run) for _ in range(4)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert codes == [0] * 4


def test_keys_are_not_shown():
    shown = repr(ssmwire.Credentials("AKID", "SECRETKEY", "TOKEN", 5.0))
    assert "AKID" in shown
    assert "expires_at=5.0" in shown
    assert "SECRETKEY" not in shown
    assert "TOKEN" not in shown
    assert "SECRETKEY" not in str([ssmwire.Credentials("AKID", "SECRETKEY")])


def test_wrong_types_are_told(client):
    for wrong in (5, ["a", 5], None, [b"x"]):
        with pytest.raises(TypeError):
            client.run("local", wrong)
    with pytest.raises(TypeError):
        client.run(5, ["a"])
    with pytest.raises(ValueError, match="args"):
        client.run("local", [])
    with pytest.raises(ssmwire.InvalidArgument):
        client.run("local", ["a"], timeout=-1)
    with pytest.raises(TypeError):
        client.run_many("local", ["a"])
    with pytest.raises(TypeError):
        ssmwire.Client("eu-west-1", credentials=5)


def test_a_closed_client_starts_nothing(emulator):
    client = ssmwire.Client(**emulator.client_options)
    client.close()
    client.close()
    with pytest.raises(ssmwire.BadHandle):
        client.run("local", ["true"])


def test_many_targets_yield_their_results_as_they_come(client):
    targets = ["local", "i-0123456789abcdef0"] * 5 + ["nowhere"]
    results = list(client.run_many(targets, ["echo", "hi"], concurrency=3, text=True))
    assert sorted(result.target for result in results) == sorted(targets)
    for result in results:
        if result.target == "nowhere":
            assert isinstance(result.error, ssmwire.TargetNotConnected)
        else:
            assert result.result.stdout == "hi\n"


def test_output_of_one_host_that_is_no_text_stops_no_other(client, tmp_path):
    # Whichever makes the directory writes a byte that is no UTF-8.
    command = f"if mkdir {tmp_path}/first 2>/dev/null; then printf '\\303'; else printf fine; fi"
    results = list(client.run_many(["local"] * 4, command, concurrency=2, text=True, binary=True))
    assert [type(result.error) for result in results if result.error] == [UnicodeDecodeError]
    assert [result.result.stdout for result in results if result.result] == ["fine"] * 3
    with pytest.raises(UnicodeDecodeError):
        client.run("local", ["printf", "\\303"], text=True, binary=True)


@pytest.mark.parametrize("wrong", [{"encoding": "nope"}, {"encoding": "hex"}, {"errors": "nope"}])
def test_an_encoding_that_there_is_not_starts_nothing(client, emulator, wrong):
    before = len(emulator.sessions())
    with pytest.raises(LookupError):
        client.run("local", ["true"], **wrong)
    with pytest.raises(LookupError):
        client.run_many(["local"], ["true"], **wrong)
    assert len(emulator.sessions()) == before


def test_leaving_the_loop_stops_the_rest(client, emulator):
    before = len(emulator.sessions())
    for _ in client.run_many(["local"] * 50, ["echo"], concurrency=2):
        break
    assert len(emulator.sessions()) - before <= 5


def test_it_says_whether_a_target_is_connected(client, emulator):
    assert client.is_connected("local")
    emulator.set_online("local", False)
    try:
        assert not client.is_connected("local")
        with pytest.raises(ssmwire.TargetNotConnected):
            client.wait_until_connected("local", timeout=0.1)
    finally:
        emulator.set_online("local", True)
    client.wait_until_connected("local", timeout=5)


def test_a_command_reads_its_input_and_then_the_end(client):
    every_byte = bytes(range(256)) * 300
    done = client.run("local", "wc -c; echo after", input=every_byte, check=True)
    assert done.stdout.split() == [b"76800", b"after"]
    assert client.run("local", ["cat"], input=every_byte, binary=True, check=True).stdout == every_byte
    assert client.run("local", ["cat"], input=bytearray(b"array")).stdout == b"array"
    assert client.run("local", ["cat"], input=b"").stdout == b""
    assert client.run("local", "cat; echo no input").stdout == b"no input\n"


def test_input_may_be_text(client):
    assert client.run("local", ["cat"], input="\u00e9t\u00e9\n", text=True).stdout == "\u00e9t\u00e9\n"
    assert client.run("local", ["wc", "-c"], input="\u00e9", encoding="latin-1").stdout.strip() == "1"
    with pytest.raises(UnicodeEncodeError):
        client.run("local", ["cat"], input="\u20ac", encoding="latin-1")
    with pytest.raises(TypeError):
        client.run("local", ["cat"], input=5)


def test_many_targets_read_the_same_input(client):
    results = list(client.run_many(["local", "i-0123456789abcdef0"], ["cat"], input="same", text=True))
    assert [result.result.stdout for result in results] == ["same", "same"]
