"""How a batch is saved, in one transaction. Imported by worker, and by what moves rows in db."""
