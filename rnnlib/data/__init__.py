"""Data for the lessons and what prepares it. A dataset's own library is imported only when the dataset is asked for."""
