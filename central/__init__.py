"""The office: book of record, till and phone page."""
