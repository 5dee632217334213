"""What objectives are about: figures of runs, requests, people and records, one module a source."""
