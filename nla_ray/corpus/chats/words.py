"""Words of the sources: their names for roles, and fields that say nothing of what the target saw."""

from __future__ import annotations

_ROLES = {
    **{name: name for name in ("system", "developer", "user", "assistant", "tool")},
    **dict.fromkeys(("human", "prompter"), "user"),
    **dict.fromkeys(("gpt", "bot", "model", "chatgpt", "ai"), "assistant"),
    **dict.fromkeys(("observation", "function", "ipython", "tool_response", "function_response"), "tool"),
}


def role_of(name: str) -> str:
    """The role that a name of the sources means, in capitals too; one that is not known keeps its name."""
    return _ROLES.get(name.lower(), name)


MESSAGE_METADATA = frozenset({
    "annotations", "cache_control", "citations", "container", "context_management", "conversation_id",
    "country", "created", "created_at", "date", "datetime", "detoxify_moderation", "end_turn",
    "extra_content", "feedback", "finish_reason", "hashed_ip", "header", "id", "idx", "index", "internal",
    "ip", "lang", "language", "logprobs", "loss", "loss_weight", "message_id", "meta", "metadata", "model",
    "model_id", "model_name", "moderation", "msg_id", "object", "openai_id", "openai_moderation",
    "parent_id", "parent_uuid", "phase", "provider_specific_fields", "rank", "rating", "request_id",
    "round", "score", "session_id", "source", "state", "status", "step", "step_id", "stop_details",
    "stop_reason", "stop_sequence", "temperature", "time", "timestamp", "token_count", "tool_call_id",
    "top_p", "toxic", "train", "trainable", "turn", "turn_id", "turn_identifier", "turn_index",
    "updated_at", "usage", "uuid", "weight",
})  # fmt: skip
PART_METADATA = frozenset({
    "annotations", "cache_control", "caller", "citations", "closed", "id", "index", "internal", "logprobs",
    "refusal", "signature",
})  # fmt: skip
CALL_METADATA = frozenset({
    "extra_content", "id", "index", "internal", "metadata", "status", "view",
})  # fmt: skip
