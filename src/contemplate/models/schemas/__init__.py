"""JSON schemas in the dialects of servers.

- `dialects`       what each dialect understands, as data
- `definitions`    the definitions of a schema, by references
- `normal_form`    any schema in a few words: typed nodes, unions, references
- `dialect_writer` a schema in normal form, in what a dialect understands
- `patterns`       regular expressions without what servers refuse
- `nodes`          what a normal form is made of
- `plain_schemas`  a schema as it is, for servers that know JSON Schema
- `sizes`          how large a schema is
- `request_schema` the schema that is sent
"""

from __future__ import annotations

from .dialects import SchemaDialect
from .request_schema import SentSchema, sent_schema

__all__ = ["SchemaDialect", "SentSchema", "sent_schema"]
