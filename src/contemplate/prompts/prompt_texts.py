"""The names of all prompts that a run uses, for type checkers and editors; a test keeps them in step with the files."""

from __future__ import annotations

from typing import TypedDict


class PromptTexts(TypedDict, total=False):
    """A text for each prompt that is replaced."""

    after_tools: str
    agentic: str
    agentic_material: str
    agentic_question: str
    agentic_trajectory: str
    another_attempt: str
    answer_line: str
    answer_tool: str
    brief_answer: str
    brief_part: str
    check_failed: str
    condensed: str
    condensed_left_out: str
    continue_answer: str
    history: str
    history_earlier: str
    history_go_on: str
    history_instructions: str
    history_left_out: str
    history_tools: str
    image_question: str
    incomplete: str
    inner_question: str
    inputs: str
    judge: str
    judge_candidates: str
    judge_criteria: str
    kept_aside: str
    left_out: str
    message_from_planner: str
    missing: str
    only_images: str
    orchestrate: str
    orchestrate_results: str
    plan: str
    plan_format: str
    plan_question: str
    plan_roles: str
    plan_samples: str
    plan_split: str
    plan_split_if_needed: str
    plan_tools: str
    program_answer: str
    program_failed: str
    program_missing: str
    program_printed: str
    prompted_tool_result: str
    prompted_tools: str
    refine: str
    refine_earlier: str
    refine_in_form: str
    repair_output: str
    repair_plan: str
    rounds_aggregate: str
    rounds_revise: str
    same_meaning: str
    schema_in_words: str
    solver: str
    strategy_analogy: str
    strategy_code: str
    strategy_code_output: str
    strategy_code_tools: str
    strategy_critique_and_revise: str
    strategy_step_by_step: str
    strategy_work_backwards: str
    subagent: str
    synthesis: str
    synthesis_ask: str
    synthesis_ask_in_form: str
    synthesis_candidates: str
    synthesis_found: str
    synthesis_material: str
    synthesis_missing: str
    synthesis_parts: str
    synthesis_question: str
    synthesis_summaries: str
    synthesis_summary: str
    synthesis_summary_length: str
    task: str
    thinking: str
    tool_calls_too_many: str
    tool_changed: str
    tool_denied: str
    tool_error: str
    tool_images: str
    tool_left_out: str
    tool_no_result: str
    unsolved: str
    verify: str
    verify_critical: str
    verify_gap: str
    verify_mend: str
    verify_no_faults: str
    verify_program: str
    verify_question: str
    verify_solve: str
