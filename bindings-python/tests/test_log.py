LOG = """
import logging, os, sys, time
import ssmwire
from ssmwire.testing import Emulator

records = []

class Keep(logging.Handler):
    def emit(self, record):
        records.append(record)

logging.getLogger("ssmwire").addHandler(Keep())
logging.getLogger("ssmwire").setLevel(logging.DEBUG)
ssmwire.enable_logging()
emulator = Emulator()
with ssmwire.Client(**emulator.client_options) as client:
    shell = client.shell("local")
    shell.write(b"echo top-secret\\r")
    while b"top-secret" not in shell.read():
        pass
    assert emulator.apply({"fault": "cut_client", "session": None}) == 1
    shell.write(b"echo still here\\r")
    data = b""
    while b"still here" not in data:
        data += shell.read()
    shell.close()
deadline = time.monotonic() + 5
while not any("the connection was lost" in record.getMessage() for record in records):
    assert time.monotonic() < deadline, records
    time.sleep(0.01)
told = "\\n".join(f"{record.name} {record.levelname} {record.getMessage()}" for record in records)
assert f"ssmwire.driver INFO session id=\\"{shell.id}\\": the connection was lost" in told, told
assert "top-secret" not in told and emulator.environment["AWS_SECRET_ACCESS_KEY"] not in told
child = os.fork()
if child == 0:
    del records[:]
    with Emulator() as emulator, ssmwire.Client(**emulator.client_options) as client:
        client.run("local", ["true"])
    ssmwire.log.flush()
    assert records == []
    ssmwire.enable_logging()
    with Emulator() as emulator, ssmwire.Client(**emulator.client_options) as client:
        client.run("local", ["true"])
    ssmwire.log.flush()
    time.sleep(0.2)
    assert records
    sys.exit(0)
# That one, and not a shell of the emulator's.
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
"""


def test_pythons_logging_gets_the_librarys_log(python):
    done = python(LOG)
    assert (done.returncode, done.stderr) == (0, "")


def test_nothing_is_logged_unless_it_is_asked_for(python):
    done = python(
        "import logging, ssmwire; logging.basicConfig(level=0); c = ssmwire.Client(); c.run('local', ['true'])"
    )
    assert (done.returncode, done.stderr) == (0, "")
