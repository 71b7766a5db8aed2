# contemplate ask --program examples/programs/fact_check.py "$(cat article.txt)"
#
# Split a text into claims; let a verifier and a sceptic look at each of them, all at the same time; where they
# differ, let three judge. What is printed goes to whoever writes the answer.
import asyncio

claims = await ask("List the factual claims of the text, each in one sentence of its own.", data=question, output=[str])


async def verdict_on(claim):
    verified, doubt = await asyncio.gather(
        check(claim, "Is it true?", role="a verifier who knows the subject"),
        ask(
            "What speaks against this claim? Say NOTHING if nothing does.",
            data=claim,
            role="a sceptic",
            title=f"Doubt: {claim}",
        ),
    )
    if verified["holds"] and "NOTHING" in doubt:
        return f"RIGHT: {claim}"
    if not verified["holds"] and "NOTHING" not in doubt:
        return f"WRONG: {claim} ({verified['why']})"
    settled = await check(claim, "Is it true?", data={"verifier": verified["why"], "sceptic": doubt}, samples=3)
    return f"{'RIGHT' if settled['holds'] else 'WRONG'}: {claim} ({settled['why']})"


note(f"{len(claims)} claims")
for line in await asyncio.gather(*[verdict_on(claim) for claim in claims]):
    print(line)
