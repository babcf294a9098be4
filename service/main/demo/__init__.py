"""The demonstration: a bank's support assistant, four weeks of its past and one eventful week, played through the real service."""
