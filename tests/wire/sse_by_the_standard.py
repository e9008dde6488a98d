"""A slow and plain reading of server-sent events, line by line and over the whole stream at once: section 9.2.6 of the HTML standard."""


def lines_of(text: str) -> list[str]:
    """The lines that have an end; what follows the last end is dropped, as the standard drops an event that is not finished."""
    lines = []
    line = ""
    index = 0
    while index < len(text):
        character = text[index]
        index += 1
        if character == "\r" and text[index : index + 1] == "\n":
            index += 1
        if character in "\r\n":
            lines.append(line)
            line = ""
        else:
            line += character
    return lines


def events_by_the_standard(stream: bytes) -> list[tuple[str, str]]:
    """Type and data of every event that the standard dispatches."""
    events = []
    kind = data = ""
    for line in lines_of(stream.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "replace")):
        if line == "":
            if data:
                events.append((kind or "message", data[:-1]))
            kind = data = ""
        elif not line.startswith(":"):
            field, _, value = line.partition(":")
            value = value[1:] if value.startswith(" ") else value
            if field == "event":
                kind = value
            elif field == "data":
                data += value + "\n"
    return events
