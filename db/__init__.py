"""All the SQL there is: tables, engine, claims, saves, filters, migrations, export."""
