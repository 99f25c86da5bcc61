"""A thread that remembers, tokens as they come, a tool call. Needs `pip install langgraph-sdk`."""

import asyncio
import os

from langgraph_sdk import get_client


async def main() -> None:
    client = get_client(url=os.environ.get("FRACTAL_URL", "http://127.0.0.1:3000"))
    thread = await client.threads.create()
    thread_id = thread["thread_id"]

    async def say(content: str) -> str:
        answer = ""
        given = {"messages": [{"role": "user", "content": content}]}
        stream = client.runs.stream(thread_id, "agent", input=given, stream_mode="messages-tuple")
        async for part in stream:
            if part.event != "messages":
                continue
            piece, _metadata = part.data
            if piece["type"] == "AIMessageChunk" and isinstance(piece["content"], str):
                answer += piece["content"]
        return answer

    assert "391" in await say("What is 17 * 23?")
    await say("Thank you!")

    state = await client.threads.get_state(thread_id)
    kinds = [message["type"] for message in state["values"]["messages"]]
    assert kinds[:4] == ["human", "ai", "tool", "ai"], kinds
    assert kinds.count("human") == 2, kinds
    print(f"{len(kinds)} messages on thread {thread_id}")


asyncio.run(main())
