"""What a store decides, as functions of plain data: no database, no clock, and tables of tests.

A write claims or reads, decides here, and writes. Both databases share this.
"""
