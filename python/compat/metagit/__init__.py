"""The git cache of Packhouse under the name of the library whose programs it runs: see ``packhouse.cache``."""
