// Package schema moves definitions: pg_dump writes them, this package cuts its output into entries, puts the
// entries before or after the first copy of the rows, loads them, takes them back, and compares the two sides
// object by object afterwards.
package schema
