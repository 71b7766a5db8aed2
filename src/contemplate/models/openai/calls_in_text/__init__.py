"""Tool calls that a server left in the text, as models write them.

- `reader`     splits them off while they arrive
- `forms`      a row for each form: the marks before a call and after it
- `payloads`   what stands between the marks: JSON, or parameters in markup
- `pythonic`   calls written as Python
- `brackets`   where what stands in brackets ends
"""

from .payloads import Found
from .reader import ToolCallsInText

__all__ = ["Found", "ToolCallsInText"]
