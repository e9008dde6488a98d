"""The API's own words: keys and values of a body that are the format and nobody's data. What is not here is replaced."""


def _set(text: str) -> frozenset[str]:
    return frozenset(text.split())


KEYS = _set(
    "model messages role content type text image_url input_image input_text input_audio input_file url detail name "
    "tool_calls function arguments tool_call_id id call_id refusal audio tools tool_choice functions function_call "
    "description parameters strict response_format json_schema schema format stream stream_options include_usage "
    "temperature top_p top_k min_p typical_p n stop max_tokens max_completion_tokens max_output_tokens presence_penalty "
    "frequency_penalty repetition_penalty logit_bias logprobs top_logprobs seed parallel_tool_calls user metadata "
    "safety_identifier prompt_cache_key prompt_cache_retention service_tier store reasoning reasoning_effort effort summary "
    "modalities prediction verbosity web_search_options prompt suffix echo best_of input instructions previous_response_id "
    "conversation truncation include background max_tool_calls output status encoding_format dimensions mode allowed_tools "
    "annotations item_reference data file_data file_id filename file cache_control ignore_eos min_tokens "
    "add_generation_prompt continue_final_message chat_template_kwargs enable_thinking thinking reasoning_content "
    "encrypted_content signature guided_json guided_choice guided_regex b64_json input_schema context_management voice"
)
"""Keys of requests to the four endpoints, and of the usual extensions."""

VALUES = _set(
    "system developer user assistant tool function message function_call function_call_output reasoning item_reference text "
    "image_url input_text input_image input_audio input_file output_text refusal file json_object json_schema auto none "
    "required any low medium high minimal xhigh default flex priority scale concise detailed float base64 disabled enabled "
    "completed in_progress incomplete custom allowed_tools grammar lark regex web_search file_search code_interpreter "
    "computer_use_preview image_generation mcp content audio wav mp3 pcm16 ephemeral message.output_text.logprobs "
    "reasoning.encrypted_content summary_text reasoning_text original"
)
"""Values that are words of the API, where such a word may stand."""

WORD_KEYS = _set(
    "role type detail tool_choice function_call reasoning_effort effort summary service_tier truncation verbosity "
    "encoding_format status mode modalities include format prompt_cache_retention voice"
)
"""Keys whose value is such a word."""

NUMBER_KEYS = _set(
    "temperature top_p top_k min_p typical_p n max_tokens max_completion_tokens max_output_tokens presence_penalty "
    "frequency_penalty repetition_penalty logprobs top_logprobs dimensions best_of max_tool_calls min_tokens"
)
"""Keys whose numbers are parameters."""

NAME_KEYS = _set(
    "name id call_id tool_call_id previous_response_id conversation user safety_identifier prompt_cache_key file_id item_id "
    "filename"
)
"""Keys whose value names something; it is hashed."""

BINARY_KEYS = frozenset(("url", "image_url", "data", "file_data", "b64_json"))
"""Keys whose text is an image, a file, or where one is."""

OPAQUE_KEYS = frozenset(("encrypted_content", "signature"))
"""Keys whose value only its issuer reads: no stand-in would be taken, so the key goes."""

SCHEMA_KEYS = frozenset(("parameters", "schema", "input_schema", "guided_json"))
"""Keys below which a JSON schema stands."""

SCHEMA_WORDS = _set(
    "type properties required items additionalProperties enum const anyOf oneOf allOf not $ref $defs definitions title "
    "description default examples format pattern minLength maxLength minimum maximum exclusiveMinimum exclusiveMaximum "
    "multipleOf minItems maxItems uniqueItems prefixItems patternProperties propertyNames minProperties maxProperties "
    "nullable $schema $id if then else contains dependentRequired deprecated readOnly writeOnly"
)
"""Keywords of JSON Schema (draft 2020-12), and `nullable`."""

SCHEMA_TYPES = _set("object array string number integer boolean null")
SCHEMA_FORMATS = _set(
    "date date-time time duration email hostname ipv4 ipv6 uri uri-reference uuid regex json-pointer int32 int64 float "
    "double"
)
