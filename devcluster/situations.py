"""What can go wrong with a pod on the fake nodes, as a kubelet would report it."""

from dataclasses import dataclass

_IMAGE_MISSING = "rpc error: code = NotFound desc = failed to resolve reference %q: not found"
_BACK_OFF = '{{ printf "back-off 2m40s restarting failed container=%s" .name | Quote }}'
_TERMINATED = "startedAt: {{ Now | Quote }}, finishedAt: {{ Now | Quote }}"


@dataclass(frozen=True)
class Situation:
    """`container` is a Go template of one container's status, `reached` a jq test.

    Without `reached` kwok would write the same status again and again. `init` is the same template
    for an init container; `reached` then looks at those, and a pod that has none stays Pending.
    """

    phase: str
    container: str
    reached: str
    event: tuple[str, str] | None = None
    init: str = ""


def _status(state: str, *, restarts: int = 0, started: bool = False, last: str = "{}") -> str:
    return (
        f"{{ready: false, started: {str(started).lower()}, restartCount: {restarts}, "
        f"state: {state}, lastState: {last}, "
        'name: {{ .name | Quote }}, image: {{ .image | Quote }}, imageID: ""}'
    )


def _crashed(exit_code: int, reason: str) -> str:
    waiting = f"{{waiting: {{reason: CrashLoopBackOff, message: {_BACK_OFF}}}}}"
    last = f"{{terminated: {{exitCode: {exit_code}, reason: {reason}, {_TERMINATED}}}}}"
    return _status(waiting, restarts=5, last=last)


def _crash_loop(exit_code: int, reason: str) -> Situation:
    return Situation(
        phase="Running",
        container=_crashed(exit_code, reason),
        reached=f'.lastState.terminated.reason == "{reason}"',
        event=("BackOff", "Back-off restarting failed container"),
    )


SITUATIONS = {
    "starting": Situation(
        phase="Pending",
        container=_status("{waiting: {reason: ContainerCreating}}"),
        reached='.state.waiting.reason == "ContainerCreating"',
    ),
    "image-pull": Situation(
        phase="Pending",
        container=_status(
            "{waiting: {reason: ImagePullBackOff, message: "
            f'{{{{ printf "Back-off pulling image %q: ErrImagePull: {_IMAGE_MISSING}" '
            ".image .image | Quote }}}}"
        ),
        reached='.state.waiting.reason == "ImagePullBackOff"',
        event=("Failed", "Failed to pull image: failed to resolve reference: not found"),
    ),
    "crash-loop": _crash_loop(1, "Error"),
    "out-of-memory": _crash_loop(137, "OOMKilled"),
    "init-fail": Situation(
        phase="Pending",
        container=_status("{waiting: {reason: PodInitializing}}"),
        init=_crashed(1, "Error"),
        reached='.lastState.terminated.reason == "Error"',
        event=("BackOff", "Back-off restarting failed container"),
    ),
    "unready": Situation(
        phase="Running",
        container=_status("{running: {startedAt: {{ Now | Quote }}}}", started=True),
        reached=".state.running and (.ready | not)",
        event=("Unhealthy", "Readiness probe failed: HTTP probe failed with statuscode: 503"),
    ),
    "fail": Situation(
        phase="Failed",
        container=_status(f"{{terminated: {{exitCode: 1, reason: Error, {_TERMINATED}}}}}"),
        reached=".state.terminated.exitCode == 1",
    ),
}
