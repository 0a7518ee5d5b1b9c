"""Executors with real processes, killed for real."""

from __future__ import annotations

import errno
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from multiprocessing import forkserver
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest
from trial_functions import spec

from nas.errors import MachineError, UsageError
from nas.executors import (
    EpochListener,
    Executor,
    InlineExecutor,
    LocalExecutor,
    RunTrial,
    WorkerSlot,
    devices,
    local,
    plan_slots,
)
from nas.executors.devices import threads_together, worker_environment
from nas.executors.fork_server import server_id, start_server
from nas.executors.out_of_memory import oom_kills
from nas.testing.executors import LIMIT, MakeExecutor, check_executor
from nas.trials.spec import TrialResult, TrialSpec

CPU = WorkerSlot("cpu", num_threads=1)


def one(executor: Executor, trial: TrialSpec) -> TrialResult:
    executor.submit(trial)
    (result,) = executor.wait(LIMIT)
    return result


def workers(run: str, *slots: WorkerSlot, **options: object) -> LocalExecutor:
    return LocalExecutor(slots or (CPU,), run=f"trial_functions:{run}", **options)  # type: ignore[arg-type]


def is_gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):  # the second if it goes while this is read
        return True


def wait_until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + LIMIT
    while not condition():
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.01)


@pytest.fixture
def obedient() -> Iterator[LocalExecutor]:
    with workers("as_told") as executor:
        yield executor


def inline(run: RunTrial, *, on_epoch: EpochListener | None = None) -> Executor:
    return InlineExecutor(run, on_epoch=on_epoch)


def of_processes(run: RunTrial, *, on_epoch: EpochListener | None = None, num_slots: int = 1) -> Executor:
    return LocalExecutor([CPU] * num_slots, run=f"{run.__module__}:{run.__name__}", on_epoch=on_epoch)


@pytest.mark.parametrize(
    "make", [inline, of_processes, partial(of_processes, num_slots=2)], ids=["inline", "local", "two slots"]
)
def test_keeps_its_promises(make: MakeExecutor) -> None:
    check_executor(make)


class TestWorkers:
    def test_they_persist_and_share_the_work(self) -> None:
        pids = set()
        with workers("surroundings", CPU, CPU) as executor:
            for _ in range(3):
                executor.submit(spec("a"))
                executor.submit(spec("b"))
                while executor.num_running:
                    pids |= {result.metrics["rank"]["pid"] for result in executor.wait(LIMIT)}
        assert len(pids) == 2
        assert os.getpid() not in pids
        assert all(is_gone(pid) for pid in pids)

    def test_device_and_threads_are_fixed_before_the_trial(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,GPU-5a")
        with workers("surroundings", WorkerSlot("cuda:1", num_threads=3)) as executor:
            seen = one(executor, spec()).metrics["rank"]
        assert seen["device"] == "cuda:0"
        assert seen["CUDA_VISIBLE_DEVICES"] == "GPU-5a"
        assert seen["OMP_NUM_THREADS"] == seen["MKL_NUM_THREADS"] == "3"

    def test_torch_obeys(self) -> None:
        with workers("threads_of_torch", WorkerSlot("cpu", num_threads=2)) as executor:
            assert one(executor, spec()).metrics["rank"]["threads"] == 2

    def test_waiting_costs_no_time_of_the_processor(self, obedient: LocalExecutor) -> None:
        obedient.submit(spec(seed=4))
        obedient.wait(0.5)
        before = time.process_time()
        assert obedient.wait(0.5) == []
        assert time.process_time() - before < 0.05
        assert obedient.num_running == 1


class TestServer:
    """The process that workers are forked from dies."""

    def test_a_trial_begins_again_in_a_process_of_another_server(self, tmp_path: Path) -> None:
        with workers("patient") as executor:
            executor.submit(spec(log_path=tmp_path))
            wait_until(lambda: any(tmp_path.glob("*.pid")))
            kill_server()
            assert executor.wait(0.5) == []
            wait_until(lambda: len(list(tmp_path.glob("*.pid"))) == 2)
            (tmp_path / "go").write_text("")
            (result,) = executor.wait(LIMIT)
            assert result.status == "finished"
            first, second = (int(path.stem) for path in sorted(tmp_path.glob("*.pid"), key=lambda p: p.stat().st_mtime))
            assert result.metrics["rank"]["pid"] == second
            wait_until(lambda: is_gone(first))

    def test_an_idle_worker_resumes_another_server(self) -> None:
        with workers("nothing") as executor:
            assert one(executor, spec()).status == "finished"
            kill_server()
            assert one(executor, spec()).status == "finished"

    def test_one_that_dies_again_and_again_is_an_error_of_the_machine(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Before it has forked the worker, as where memory is short."""

        def start_and_kill(slots: list[WorkerSlot], run: str) -> None:
            start_server(slots, run)
            kill_server()

        with workers("nothing") as executor:
            monkeypatch.setattr(local, "start_server", start_and_kill)
            monkeypatch.setattr(forkserver._forkserver, "ensure_running", lambda: None)
            with pytest.raises(
                MachineError, match=r"forked from was killed by signal 9 .*ran out of memory.* 3 times$"
            ):
                LocalExecutor([CPU], run="trial_functions:nothing")
            monkeypatch.undo()
            assert one(executor, spec()).status == "finished"

    def test_memory_is_named_where_the_system_counted_it(self, tmp_path: Path) -> None:
        for own, place in [("0::/a\n", "a/memory.events"), ("4:memory:/a\n0::/\n", "memory/a/memory.oom_control")]:
            file = tmp_path / place
            file.parent.mkdir(parents=True)
            file.write_text("oom 4\noom_kill 3\n")
            (tmp_path / "own").write_text(own)
            assert oom_kills(tmp_path / "own", tmp_path) == 3
            file.unlink()
            assert oom_kills(tmp_path / "own", tmp_path) == 0
        assert oom_kills(tmp_path / "none", tmp_path) == 0


def kill_server() -> None:
    server = server_id()
    assert server is not None
    os.kill(server, signal.SIGKILL)
    os.waitid(os.P_PID, server, os.WEXITED | os.WNOWAIT)


class TestDeaths:
    @pytest.mark.parametrize(
        ("seed", "reason"),
        [
            (9, r"killed by signal 9 \(SIGKILL\); probably the system ran out of memory"),
            (11, r"killed by signal 11 \(SIGSEGV\)$"),
            (2, r"ended by itself with exit status 7"),
            (3, r"result cannot be sent"),
        ],
    )
    def test_it_fails_its_own_trial_and_the_slot_comes_back(
        self, obedient: LocalExecutor, seed: int, reason: str
    ) -> None:
        result = one(obedient, spec(seed=seed))
        assert result.status == "failed"
        assert re.search(reason, result.error or "")
        assert one(obedient, spec()).status == "finished"

    def test_the_neighbour_is_untouched(self, tmp_path: Path) -> None:
        with workers("as_told", CPU, CPU) as executor:
            executor.submit(spec("victim", seed=4, log_path=tmp_path / "pid"))
            wait_until(lambda: (tmp_path / "pid").is_file() and bool((tmp_path / "pid").read_text()))
            executor.submit(spec("other"))
            os.kill(int((tmp_path / "pid").read_text()), signal.SIGKILL)
            results: dict[str, TrialResult] = {}
            while executor.num_running:
                results |= {result.id: result for result in executor.wait(LIMIT)}
        assert results["victim"].status == "failed"
        assert results["other"].status == "finished"

    def test_a_worker_killed_while_idle_is_replaced(self, obedient: LocalExecutor) -> None:
        first = one(obedient, spec()).metrics["rank"]["pid"]
        os.kill(first, signal.SIGKILL)
        wait_until(lambda: not Path(f"/proc/{first}").exists())  # a zombie may have threads that are still ending
        assert one(obedient, spec()).metrics["rank"]["pid"] != first

    def test_a_worker_whose_gpu_is_lost_to_it_is_replaced(self) -> None:
        with workers("lost_gpu", WorkerSlot("cuda:0", 1)) as executor:
            before = one(executor, spec()).metrics["rank"]["pid"]
            assert "illegal memory access" in (one(executor, spec(seed=1)).error or "")
            assert one(executor, spec()).metrics["rank"]["pid"] != before

    def test_a_full_disk_is_no_result_and_what_ended_beside_it_comes_first(self) -> None:
        with workers("on_a_full_disk", CPU, CPU) as executor:
            executor.submit(spec("a", seed=1))
            executor.submit(spec("b"))
            ended: list[str] = []
            with pytest.raises(MachineError, match=r"^No space left on device \(weights\)$"):
                while True:
                    ended += [result.id for result in executor.wait(LIMIT)]
            assert ended in (["b"], [])  # the second: it had not ended by then
            assert executor.num_running

    @pytest.mark.parametrize("hindered", ["victim's restart", "next trial"])
    def test_what_ended_is_told_before_no_process_can_be_started(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hindered: str
    ) -> None:
        """Else a trained trial of another worker would have to be trained again."""

        def refused(slots: list[WorkerSlot], run: str) -> None:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

        with workers("as_told", CPU, CPU) as executor:
            done, dying = executor._workers
            for worker in (done, dying):
                worker.submit(spec())
            while executor.num_running:  # so that both have nothing more to tell
                executor.wait(LIMIT)
            monkeypatch.setattr(local, "start_server", refused)
            done.submit(spec("done"))
            if hindered == "next trial":
                os.kill(dying._process.pid, signal.SIGKILL)  # type: ignore[union-attr, arg-type]
                wait_until(lambda: not dying._is_alive())
                executor.submit(spec("victim"))
            else:
                dying.submit(spec("victim", seed=9))
                wait_until(lambda: not dying._is_alive())
            wait_until(lambda: done._channel.poll())  # type: ignore[union-attr]
            ended: list[str] = []
            with pytest.raises(MachineError, match="could not be started: Too many open files"):
                while True:
                    ended += [result.id for result in executor.wait(LIMIT)]
            assert ended == ["done"]
            assert executor.num_running == 1  # it has no result, and is trained again

    @pytest.mark.parametrize("run", ["no_such_module:run", "trial_functions:no_such_function"])
    def test_a_worker_that_cannot_start_says_why(self, run: str) -> None:
        with LocalExecutor([CPU], run=run) as executor:
            for _ in range(2):
                result = one(executor, spec())
                assert result.status == "failed"
                assert (result.error or "").startswith("worker could not start: ")
                assert "no_such" in (result.error or "")

    def test_close_ends_workers_in_the_middle_of_a_trial(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Immediately: they obey, and need not be killed after a while."""
        monkeypatch.setattr(local, "END_LIMIT", LIMIT)
        monkeypatch.setattr(BaseProcess, "kill", lambda process: pytest.fail("it had to be killed"))
        executor = workers("as_told")
        executor.submit(spec(seed=4, log_path=tmp_path / "pid"))
        wait_until(lambda: (tmp_path / "pid").is_file() and bool((tmp_path / "pid").read_text()))
        executor.close()
        assert is_gone(int((tmp_path / "pid").read_text()))


class TestTimeLimit:
    def test_a_hung_trial_is_stopped_and_the_slot_comes_back(self) -> None:
        with workers("as_told", trial_timeout=0.3) as executor:
            began = time.monotonic()
            result = one(executor, spec(seed=4))
            assert (result.status, result.error) == ("failed", "stopped after 0.3 s (--trial-timeout)")
            assert 0.3 <= result.seconds <= time.monotonic() - began
            assert one(executor, spec()).status == "finished"

    def test_the_start_of_the_worker_does_not_count(self) -> None:
        with LocalExecutor([CPU], run="starts_late:nothing", trial_timeout=0.3) as executor:
            assert one(executor, spec()).status == "finished"


PROGRAM = """
import sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from nas.executors import LocalExecutor, WorkerSlot
from trial_functions import spec

def main():
    folder = Path(sys.argv[1])
    executor = LocalExecutor([WorkerSlot("cpu", 1)] * 2, run="trial_functions:as_told")
    executor.submit(spec("a", seed=int(sys.argv[2]), log_path=folder / "a"))
    executor.submit(spec("b", seed=int(sys.argv[2]), log_path=folder / "b"))
    done = []
    while executor.num_running:
        done += [result.id for result in executor.wait()]
    print(sorted(done))

if __name__ == "__main__":
    sys.exit(main())
"""


class TestPrograms:
    """The whole program: started in each way a user starts it, and ended in each way that one ends."""

    @pytest.fixture
    def program(self, tmp_path: Path) -> Path:
        path = tmp_path / "program.py"
        path.write_text(PROGRAM.format(tests=str(Path(__file__).parents[1] / "support")))
        return path

    def start(self, program: Path, *command: str, seed: int = 4) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, *command, str(program.parent), str(seed)],
            cwd=program.parent,
            env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def pids(self, program: Path) -> list[int]:
        files = [program.parent / "a", program.parent / "b"]
        wait_until(lambda: all(file.is_file() and file.read_text() for file in files))
        return [int(file.read_text()) for file in files]

    @pytest.mark.parametrize("as_module", [False, True])
    def test_it_ends_without_close(self, program: Path, as_module: bool) -> None:
        process = self.start(program, *(["-m", "program"] if as_module else [str(program)]), seed=0)
        out, errors = process.communicate(timeout=LIMIT)
        assert (process.returncode, out, errors) == (0, "['a', 'b']\n", "")

    def test_a_suspension_of_the_group_does_not_count_toward_a_trials_limit(self, program: Path) -> None:
        """As Ctrl-Z does it, and shells and batch systems."""
        text = program.read_text().replace(
            "executor = LocalExecutor(",
            "from nas.awake import AwakeClock; from nas.executors import local\n"
            "    local.awake = AwakeClock(tick=0.02, longest=0.2)\n"
            "    executor = LocalExecutor(trial_timeout=1.2, slots=",
        )
        program.write_text(text.replace("result.id for", "result.error or result.id for"))
        process = self.start(program, str(program), seed=5)
        self.pids(program)
        os.killpg(process.pid, signal.SIGSTOP)
        time.sleep(1.3)
        os.killpg(process.pid, signal.SIGCONT)
        out, errors = process.communicate(timeout=LIMIT)
        assert (out, errors) == ("['a', 'b']\n", "")

    def test_workers_die_with_a_killed_parent(self, program: Path) -> None:
        process = self.start(program, str(program))
        pids = self.pids(program)
        process.kill()
        process.communicate(timeout=LIMIT)
        wait_until(lambda: all(is_gone(pid) for pid in pids))

    def test_interrupting_the_group_is_left_to_the_parent(self, program: Path) -> None:
        process = self.start(program, str(program))
        time.sleep(0.2)  # the workers are still being imported: they must be deaf from their first instant
        pids = self.pids(program)
        os.killpg(process.pid, signal.SIGINT)
        _, errors = process.communicate(timeout=LIMIT)
        assert errors.count("KeyboardInterrupt") == 1  # the parent's own
        wait_until(lambda: all(is_gone(pid) for pid in pids))


class TestDevices:
    @pytest.mark.parametrize(
        ("device", "visible", "expected"),
        [
            ("cpu", "0,1", ""),
            ("cuda:0", None, "0"),
            ("cuda:3", None, "3"),
            ("cuda:0", "2", "2"),
            ("cuda:1", "2, 7", "7"),
            ("cuda:1", "GPU-aa,MIG-bb", "MIG-bb"),
        ],
    )
    def test_the_gpu_of_a_worker(self, device: str, visible: str | None, expected: str) -> None:
        parent = {} if visible is None else {"CUDA_VISIBLE_DEVICES": visible}
        assert worker_environment(WorkerSlot(device, 1), parent)["CUDA_VISIBLE_DEVICES"] == expected

    def test_cpu_workers_divide_the_cores(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(devices, "count_cores", lambda: 8)
        monkeypatch.setattr(devices, "limited", lambda threads: threads)
        monkeypatch.setattr(devices, "MEMORY_PER_WORKER", 1)
        assert plan_slots("cpu", 2, None) == [WorkerSlot("cpu", 4)] * 2
        assert plan_slots("cpu", 16, None) == [WorkerSlot("cpu", 1)] * 16
        assert plan_slots("cpu", None, None) == [WorkerSlot("cpu", 1)] * 8
        assert plan_slots("cpu", None, None, 3) == [WorkerSlot("cpu", 3)] * 2
        assert plan_slots("cpu", 2, None, 16) == [WorkerSlot("cpu", 16)] * 2  # as the user wants it

    def test_one_cpu_worker_has_one_thread_wherever_it_runs(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for cores, allowed in ((1, ""), (8, ""), (8, "4")):
            monkeypatch.setattr(devices, "count_cores", lambda cores=cores: cores)
            monkeypatch.setenv("OMP_NUM_THREADS", allowed)
            assert plan_slots("cpu", 1, None) == [WorkerSlot("cpu", 1)]
            assert threads_together(plan_slots("cpu", 1, None)) == 1
            assert plan_slots("cpu", 1, None, 2) == [WorkerSlot("cpu", 2)]

    @pytest.mark.parametrize(
        ("variables", "expected"),
        [
            ({}, 8),
            ({"OMP_NUM_THREADS": "2"}, 2),
            ({"OMP_NUM_THREADS": "16"}, 8),
            ({"OMP_NUM_THREADS": "4,2", "MKL_NUM_THREADS": "3"}, 3),
            ({"OMP_NUM_THREADS": "many", "MKL_NUM_THREADS": "0"}, 8),
        ],
    )
    def test_the_environment_limits_threads(self, variables: dict[str, str], expected: int) -> None:
        assert devices.limited(8, variables) == expected

    def test_one_process_in_place_of_all_workers_has_their_threads(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("OMP_NUM_THREADS", "3")
        assert threads_together([WorkerSlot("cpu", 1)] * 2) == 2
        assert threads_together([WorkerSlot("cpu", 2)] * 2) == 3
        assert threads_together([WorkerSlot("cpu", 4)]) == 4  # told, or recorded: equal wherever it runs
        assert threads_together([WorkerSlot("cuda:0", 2)]) is None

    def test_cpu_does_not_import_torch(self) -> None:
        code = "import sys, nas.executors as e; e.plan_slots('cpu', 1, None); assert 'torch' not in sys.modules"
        subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2], capture_output=True)

    def test_every_error_is_reported_together(self) -> None:
        with pytest.raises(UsageError) as caught:
            plan_slots("gpu", 0, -1)
        assert [error.split()[0] for error in caught.value.messages] == [
            "--workers",
            "--trials-per-gpu",
            "There",
        ]

    def test_trials_per_gpu_means_nothing_on_the_cpu(self) -> None:
        with pytest.raises(UsageError, match="use --workers"):
            plan_slots("cpu", None, 2)

    @pytest.mark.parametrize("device", ["cuda", "cuda:0"])
    def test_no_gpu(self, device: str) -> None:
        import torch

        if torch.cuda.device_count():
            pytest.skip("this machine has one")
        with pytest.raises(UsageError, match=r"No CUDA GPU is visible.*use --device cpu"):
            plan_slots(device, None, None)

    def test_slots_of_several_gpus(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(devices, "_may_have_gpu", lambda: True)
        monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
        assert [slot.device for slot in plan_slots(None, None, 2)] == ["cuda:0", "cuda:1", "cuda:0", "cuda:1"]
        assert len(plan_slots("cuda", None, None)) == 2 * devices.TRIALS_PER_GPU
        assert [slot.device for slot in plan_slots("cuda:1", 2, None)] == ["cuda:1", "cuda:1"]
        assert [slot.device for slot in plan_slots("cuda", 3, None)] == ["cuda:0", "cuda:1", "cuda:0"]
        with pytest.raises(UsageError, match="cuda:0 to cuda:1"):
            plan_slots("cuda:2", None, None)

    @pytest.mark.parametrize(
        ("files", "expected"),
        [
            ({}, None),
            ({"cpu.max": "max 100000\n"}, None),
            ({"cpu.max": "150000 100000\n"}, 1.5),
            ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, None),
            ({"cpu/cpu.cfs_quota_us": "400000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 4.0),
        ],
    )
    def test_a_containers_quota(self, tmp_path: Path, files: dict[str, str], expected: float | None) -> None:
        for name, text in files.items():
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).write_text(text)
        assert devices._container_quota(tmp_path, tmp_path / "not there") == expected

    @pytest.mark.parametrize("version", [1, 2])
    def test_the_least_quota_of_the_groups_above_counts(self, tmp_path: Path, version: int) -> None:
        """As ``systemd-run -p CPUQuota=150%`` and batch systems set one, outside containers."""
        groups = {"": 800_000, "user": 150_000, "user/job": 400_000, "other": 50_000}
        base = tmp_path / "root" / ("cpu" if version == 1 else "")
        for group, quota in groups.items():
            (base / group).mkdir(parents=True, exist_ok=True)
            if version == 2:
                (base / group / "cpu.max").write_text(f"{quota} 100000\n")
            else:
                (base / group / "cpu.cfs_quota_us").write_text(f"{quota}\n")
                (base / group / "cpu.cfs_period_us").write_text("100000\n")
        own = tmp_path / "cgroup"
        own.write_text("5:memory:/other\n4:cpu,cpuacct:/user/job\n" if version == 1 else "0::/user/job\n")
        assert devices._container_quota(tmp_path / "root", own) == 1.5

    @pytest.mark.gpu
    def test_a_real_gpu(self) -> None:
        import torch

        if not torch.cuda.device_count():
            pytest.skip("no GPU")
        slots = plan_slots("cuda:0", 2, None)
        with workers("surroundings", *slots) as executor:
            assert one(executor, spec()).metrics["rank"]["device"] == "cuda:0"
