"""What a user's Python program does with langgraph-sdk. Usage: scenarios.py URL NAME; exit code 0 when it holds."""

import asyncio
import sys
import uuid

from langgraph_sdk import get_client
from langgraph_sdk.client import LangGraphClient

QUESTION = {"messages": [{"role": "user", "content": "hi"}], "n": 3}
MODES = {
    "values": {"values"},
    "updates": {"updates"},
    "messages-tuple": {"messages"},
    "messages": {"messages/metadata", "messages/partial", "messages/complete"},
    "events": {"events"},
    "debug": {"debug"},
    "tasks": {"tasks"},
    "checkpoints": {"checkpoints"},
    "custom": set(),
}


def same(actual: object, expected: object) -> None:
    if actual != expected:
        raise AssertionError(f"expected {expected!r}, got {actual!r}")


async def fails(work, text: str) -> None:
    try:
        await work
    except Exception as error:  # noqa: BLE001 - whatever the SDK raises
        if text not in f"{type(error).__name__} {error}":
            raise AssertionError(f"expected {text!r} in {error!r}") from error
        return
    raise AssertionError(f"expected a failure that says {text!r}")


async def new_thread(client: LangGraphClient) -> str:
    return (await client.threads.create())["thread_id"]


async def reaches(client: LangGraphClient, thread_id: str, run_id: str, status: str) -> None:
    for _ in range(500):
        if (await client.runs.get(thread_id, run_id))["status"] == status:
            return
        await asyncio.sleep(0.02)
    raise AssertionError(f"run {run_id} never came to {status}")


async def assistants(client: LangGraphClient) -> None:
    made = await client.assistants.create("counter", name="from python", metadata={"by": "python"})
    await client.assistants.update(made["assistant_id"], name="still from python")
    same([a["version"] for a in await client.assistants.get_versions(made["assistant_id"])], [2, 1])
    same(await client.assistants.count(metadata={"by": "python"}), 1)
    found = await client.assistants.search(metadata={"by": "python"})
    same([a["name"] for a in found], ["still from python"])
    await client.assistants.delete(made["assistant_id"])
    await fails(client.assistants.get(made["assistant_id"]), "NotFound")


async def threads(client: LangGraphClient) -> None:
    thread_id = str(uuid.uuid4())
    await client.threads.create(thread_id=thread_id, metadata={"by": "python"})
    await fails(client.threads.create(thread_id=thread_id), "Conflict")
    await client.threads.update(thread_id, metadata={"more": 1})
    same([t["thread_id"] for t in await client.threads.search(metadata={"by": "python", "more": 1})], [thread_id])
    await client.threads.copy(thread_id)
    await client.threads.delete(thread_id)
    await fails(client.threads.get(thread_id), "NotFound")


async def waiting(client: LangGraphClient) -> None:
    thread_id = await new_thread(client)
    same((await client.runs.wait(thread_id, "counter", input={"steps": 2}))["count"], 2)
    same((await client.threads.get(thread_id))["values"]["count"], 2)
    same((await client.runs.wait(None, "counter", input={"steps": 1}))["log"], ["step-1"])
    await fails(client.runs.wait(thread_id, "failing", input={}), "the card was declined")
    same((await client.threads.get(thread_id))["status"], "error")


async def every_mode(client: LangGraphClient) -> None:
    for mode, expected in MODES.items():
        thread_id = await new_thread(client)
        parts = [p async for p in client.runs.stream(thread_id, "tokens", input=QUESTION, stream_mode=mode)]
        names = [part.event for part in parts]
        same((names[0], names[-1]), ("metadata", "end"))
        same(set(names[1:-1]), expected)
    together = [
        p.event
        async for p in client.runs.stream(None, "counter", input={"steps": 2}, stream_mode=["updates", "values"])
    ]
    same(together, ["metadata", "values", "updates", "values", "updates", "values", "end"])
    nested = [
        p.event
        async for p in client.runs.stream(
            await new_thread(client), "subgraphs", input={}, stream_mode="updates", stream_subgraphs=True
        )
    ]
    if not any(name.startswith("updates|child:") for name in nested):
        raise AssertionError(f"no event of a subgraph in {nested}")


async def second_version(client: LangGraphClient) -> None:
    thread_id = await new_thread(client)
    stream = client.runs.stream(
        thread_id, "interrupting", input={}, stream_mode=["values", "updates"], version="v2"
    )
    parts = [part async for part in stream]
    same(parts[0]["type"], "metadata")
    asked = [i["value"] for part in parts if part["type"] == "values" for i in part.get("interrupts", [])]
    same(asked, ["name?"])


async def interrupts(client: LangGraphClient) -> None:
    thread_id = await new_thread(client)
    asked = await client.runs.wait(thread_id, "interrupting", input={})
    same([i["value"] for i in asked["__interrupt__"]], ["name?"])
    same((await client.threads.get(thread_id))["status"], "interrupted")
    await client.runs.wait(thread_id, "interrupting", command={"resume": "Ada"})
    done = await client.runs.wait(thread_id, "interrupting", command={"resume": 36})
    same(done["greeting"], "Ada is 36")
    two = await new_thread(client)
    asked = await client.runs.wait(two, "interrupting_parallel", input={})
    resume = {i["id"]: i["value"].upper() for i in asked["__interrupt__"]}
    done = await client.runs.wait(two, "interrupting_parallel", command={"resume": resume})
    same(done["answers"], ["left=LEFT?", "right=RIGHT?", "joined"])


async def history(client: LangGraphClient) -> None:
    thread_id = await new_thread(client)
    await client.runs.wait(thread_id, "breakpoints", input={})
    states = await client.threads.get_history(thread_id, limit=100)
    same([state["next"] for state in states], [[], ["c"], ["b"], ["a"], ["__start__"]])
    at = states[2]["checkpoint"]["checkpoint_id"]
    same((await client.threads.get_state(thread_id, checkpoint_id=at))["values"], {"path": ["a"]})
    same(len(await client.threads.get_history(thread_id, limit=100, before=at)), 2)
    fork = await client.runs.wait(thread_id, "breakpoints", input=None, checkpoint_id=at)
    same(fork["path"], ["a", "b", "c"])
    await client.threads.update_state(thread_id, {"path": ["mine"]}, as_node="c")
    same((await client.threads.get_state(thread_id))["values"]["path"], ["a", "b", "c", "mine"])


async def cancelling(client: LangGraphClient) -> None:
    thread_id = await new_thread(client)
    run = await client.runs.create(thread_id, "slow", input={"ms": 60_000})
    await reaches(client, thread_id, run["run_id"], "running")
    await fails(
        client.runs.create(thread_id, "counter", input={"steps": 1}, multitask_strategy="reject"), "Conflict"
    )
    await client.runs.cancel(thread_id, run["run_id"], wait=True)
    same((await client.runs.get(thread_id, run["run_id"]))["status"], "interrupted")
    again = await client.runs.create(thread_id, "slow", input={"ms": 60_000})
    await reaches(client, thread_id, again["run_id"], "running")
    await client.runs.cancel_many(thread_id=thread_id, run_ids=[again["run_id"]], action="interrupt")
    await reaches(client, thread_id, again["run_id"], "interrupted")


async def joining(client: LangGraphClient) -> None:
    thread_id = await new_thread(client)
    body = {"input": {"steps": 3, "sleep_ms": 20}, "stream_mode": "updates", "stream_resumable": True}
    run = await client.runs.create(thread_id, "counter", **body)
    seen, last = [], None
    async for part in client.runs.join_stream(thread_id, run["run_id"], last_event_id="-1"):
        seen.append(part)
        if part.event == "updates":
            last = part.id
            break
    same((await client.runs.join(thread_id, run["run_id"]))["count"], 3)
    async for part in client.runs.join_stream(thread_id, run["run_id"], last_event_id=last):
        seen.append(part)
    steps = [part.data["step"]["log"][0] for part in seen if part.event == "updates"]
    same(steps, ["step-1", "step-2", "step-3"])
    same(seen[-1].event, "end")


async def restarted(client: LangGraphClient) -> None:
    """The server stops and comes back meanwhile: nothing lacks, comes twice or raises."""
    body = {"input": {"steps": 12, "sleep_ms": 150}, "durability": "async"}
    waited = asyncio.create_task(client.runs.wait(await new_thread(client), "counter", **body))
    steps, last = [], None
    async for part in client.runs.stream(None, "counter", stream_mode="updates", **body):
        last = part.event
        if part.event == "updates":
            steps.append(part.data["step"]["log"][0])
    same(steps, [f"step-{i + 1}" for i in range(12)])
    same(last, "end")
    same((await waited)["count"], 12)


SCENARIOS = {
    function.__name__: function
    for function in (
        assistants,
        threads,
        waiting,
        every_mode,
        second_version,
        interrupts,
        history,
        cancelling,
        joining,
        restarted,
    )
}


async def main(url: str, name: str) -> None:
    async with get_client(url=url) as client:
        await asyncio.wait_for(SCENARIOS[name](client), timeout=30)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2]))
