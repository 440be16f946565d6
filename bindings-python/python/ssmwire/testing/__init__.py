"""An emulator of Systems Manager in this process, for tests: no AWS account, no network."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from .. import _native, _options
from .._lifecycle import unless_forked

__all__ = ["Emulator", "EmulatorSession"]


class EmulatorSession(NamedTuple):
    """A session that the emulator has seen."""

    id: str
    target: str
    document_name: str
    reason: str | None
    has_ended: bool


class Emulator:
    """The APIs, the message gateway and managed nodes, on a free port of this machine. The nodes are this machine.

    Args:
        targets: The ids of its managed nodes.
        region: The region that it plays.
        agent_version: The version that its agents report, which also gates what they can do.
        faithful: Whether agents keep the official agent's pace and quirks.
        kms_keys: KMS keys, by alias or id.
        default_shell_kms_key: The key that default shells are encrypted with.
        ecs_containers: Containers of ECS tasks: cluster, task and container, by name.
        ecs_kms_key: The key that ECS Exec is encrypted with.
        idle_timeout: Seconds that a session may go without data; 20 minutes by default.
        max_duration: Seconds that a session may last.
        throttle: Calls of one API operation that are answered in a second.

    """

    def __init__(
        self,
        *,
        targets: Iterable[str] = ("local",),
        region: str = "eu-west-1",
        agent_version: str | None = None,
        faithful: bool = False,
        kms_keys: Iterable[str] = (),
        default_shell_kms_key: str | None = None,
        ecs_containers: Iterable[tuple[str, str, str]] = (),
        ecs_kms_key: str | None = None,
        idle_timeout: float | None = None,
        max_duration: float | None = None,
        throttle: int | None = None,
    ) -> None:
        self._native = _native.Emulator(
            targets=_options.names("targets", targets),
            region=region,
            agent_version=agent_version,
            faithful=faithful,
            kms_keys=_options.names("kms_keys", kms_keys),
            default_shell_kms_key=default_shell_kms_key,
            ecs_containers=list(ecs_containers),
            ecs_kms_key=ecs_kms_key,
            idle_timeout=idle_timeout,
            max_duration=max_duration,
            throttle=throttle,
        )
        self.environment: dict[str, str] = self._native.environment()
        """The environment variables that point any AWS client at it, boto3 and the AWS CLI among them."""
        self.endpoint_url: str = self._native.endpoint_url()
        """The endpoint of its APIs."""

    @property
    def client_options(self) -> dict[str, Any]:
        """What makes a client talk to it: `Client(**emulator.client_options)`."""
        keys = (self.environment["AWS_ACCESS_KEY_ID"], self.environment["AWS_SECRET_ACCESS_KEY"])
        return {"region": self.environment["AWS_REGION"], "credentials": keys, "endpoint_url": self.endpoint_url}

    def apply(self, *faults: Mapping[str, Any]) -> int:
        """Make things go wrong, and return how many sessions that acted on at once.

        A fault is a line of `ssmwire emulator --scenario`: `{"fault": "cut_client"}`, or
        `{"fault": "fail", "operation": "StartSession", "code": "ThrottlingException", "times": 2}`. These are all, with
        their fields; those with a value here may be left out:

        - Of a session by its id, or of all without `session`, which all of these may have:

          - `cut_client`; `close_client`: `code`, `reason=""`; `cut_client_after`: `bytes`, `times`
          - `cut_agent`: `ms`
          - `disturb`: `direction`, which is `to_agent` or `to_client`; the probabilities `drop=0`, `duplicate=0`,
            `reorder=0`, `corrupt=0` and `delay=0`; `delay_ms=0`
          - `stall`: `on`; `black_hole`: `on`
          - `refuse_upgrades`: `times`; `refuse_upgrades_for`: `ms`
          - `pause_publication`; `start_publication`; `send_garbage`: `bytes`

        - Of an API operation:

          - `fail`: `operation`, `code`, `message=""`, `status=400`, `times`
          - `never_answer`: `operation`, `times`; `delay_answers`: `operation`, `ms`

        - Of the service: `throttle`: `per_second=None`, for no limit; `deny_document`: `name`, `on`; `hide_document`:
          `name`, `on`; `expire_session_token`: `token`; `cut_control`: `target`
        """
        return self._native.apply(json.dumps({"faults": faults}))

    def set_online(self, target: str, is_online: bool) -> bool:
        """Connect or disconnect a target's agent, and return whether there is such a target."""
        return self._native.set_online(target, is_online)

    def requests(self) -> dict[str, int]:
        """Return how often each API operation was called."""
        return self._native.requests()

    def sessions(self) -> list[EmulatorSession]:
        """Return the sessions that it has seen, the latest first."""
        return [EmulatorSession(*row) for row in self._native.sessions()]

    def start_session(self, target: str, *, document_name: str | None = None) -> dict[str, str]:
        """Start a session without a call, and return what the API would: for tests of whoever is handed its answer."""
        session_id, stream_url, token = self._native.start_session(target, document_name)
        return {"SessionId": session_id, "StreamUrl": stream_url, "TokenValue": token}

    def close(self) -> None:
        """Stop everything."""
        self._native.close()

    def __enter__(self) -> Emulator:
        return self

    def __exit__(self, *_: object) -> None:
        with unless_forked():
            self.close()
